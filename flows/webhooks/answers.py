"""Answers: JSON for webhooks; for OTLP what its specification asks for, in the request's format."""

from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from starlette.responses import Response

from flows.webhooks.settings import JSON, Endpoint
from flows.webhooks.sources import PROTOBUF
from flows.webhooks.writer import Kept

# Codes of google.rpc.Code, which OTLP's error messages carry.
RPC_CODES = {
    400: 3,
    401: 16,
    403: 7,
    408: 4,
    409: 6,
    413: 3,
    415: 3,
    429: 8,
    500: 13,
    503: 14,
}
OTLP_SUCCESS: Mapping[str, Message] = {
    "otlp-metrics": ExportMetricsServiceResponse(),
    "otlp-logs": ExportLogsServiceResponse(),
}


def accepted(endpoint: Endpoint, content_type: str, identity: str, kept: Kept) -> Response:
    """The delivery is durable. OTLP wants 200, and a partial success left out when all is taken."""
    if endpoint.protocol == "webhook":
        return _json(202, {"outcome": kept.value, "delivery_id": identity})
    if content_type == PROTOBUF:
        message = OTLP_SUCCESS[endpoint.protocol].SerializeToString()
        return Response(message, media_type=PROTOBUF)
    return _json(200, {})


def refused(
    endpoint: Endpoint | None,
    content_type: str,
    status: int,
    message: str,
    headers: Mapping[str, str],
) -> Response:
    """The delivery was not taken; ``message`` says why without quoting it."""
    if endpoint is None or endpoint.protocol == "webhook":
        return _json(status, {"error": message}, headers)
    code = RPC_CODES.get(status, 2)
    if content_type == PROTOBUF:
        content = Status(code=code, message=message).SerializeToString()
        return Response(content, status, headers=dict(headers), media_type=PROTOBUF)
    return _json(status, {"code": code, "message": message}, headers)


def _json(status: int, document: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, headers=dict(headers or {}), media_type=JSON)
