"""Answers: JSON for webhooks; for OTLP what its specification asks for, in the request's format."""

from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from starlette.responses import Response

from flows.webhooks.settings import JSON, Endpoint
from flows.webhooks.sources import PROTOBUF
from flows.webhooks.telemetry import Partial
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
# The field that counts what was rejected; of the endpoint that takes both kinds, of either.
REJECTED: Mapping[str, str] = {
    "otlp-metrics": "rejectedDataPoints",
    "otlp-logs": "rejectedLogRecords",
    "otlp-traces": "rejectedSpans",
    "otlp": "rejectedDataPoints",
}


def accepted(identity: str, kept: Kept) -> Response:
    """The delivery is durable."""
    return _json(202, {"outcome": kept.value, "delivery_id": identity})


def told(endpoint: Endpoint, content_type: str, partial: Partial | None) -> Response:
    """An export was taken. A partial success is left out when all of it was."""
    if content_type == PROTOBUF:
        message = _success(endpoint.protocol, partial).SerializeToString()
        return Response(message, media_type=PROTOBUF)
    if partial is None:
        return _json(200, {})
    # A 64-bit number is text in protobuf's JSON, and nothing where it is 0.
    rejected = {REJECTED[endpoint.protocol]: str(partial.rejected)} if partial.rejected else {}
    return _json(200, {"partialSuccess": {**rejected, "errorMessage": partial.message}})


def _success(protocol: str, partial: Partial | None) -> Message:
    count, message = (partial.rejected, partial.message) if partial else (0, "")
    match protocol:
        case "otlp-logs":
            logs = ExportLogsPartialSuccess(rejected_log_records=count, error_message=message)
            return ExportLogsServiceResponse(partial_success=logs if partial else None)
        case "otlp-traces":
            spans = ExportTracePartialSuccess(rejected_spans=count, error_message=message)
            return ExportTraceServiceResponse(partial_success=spans if partial else None)
        case _:
            points = ExportMetricsPartialSuccess(rejected_data_points=count, error_message=message)
            return ExportMetricsServiceResponse(partial_success=points if partial else None)


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
