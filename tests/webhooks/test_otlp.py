"""OTLP as exporters send it, and answered as its specification asks."""

import gzip
import json
import time
from collections.abc import Callable

import httpx
import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from tests.webhooks.harness import SECRET, Running, rows, token_headers

PROTOBUF = "application/x-protobuf"
GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture(scope="module")
def client(receiver: Running) -> httpx.Client:
    return httpx.Client(base_url=receiver.url, timeout=30)


def metrics(name: str) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    return request


def logs(name: str) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(
        event_name=name, time_unix_nano=time.time_ns()
    )
    return request


def kept(url: str, kind: str, body: bytes) -> int:
    query = "select count(*) from webhooks.deliveries where kind = %s and body = %s"
    return int(rows(url, query, kind, body)[0][0])


@pytest.mark.parametrize(
    ("path", "kind", "make", "answer_type"),
    [
        ("/v1/metrics", "otlp-metrics", metrics, ExportMetricsServiceResponse),
        ("/v1/logs", "otlp-logs", logs, ExportLogsServiceResponse),
    ],
)
def test_protobuf_plain_and_packed_is_one_delivery_with_a_whole_success(
    client: httpx.Client,
    inbox_url: str,
    path: str,
    kind: str,
    make: Callable[[str], Message],
    answer_type: type[Message],
) -> None:
    body = make(kind).SerializeToString()
    for content, more in ((body, {}), (gzip.compress(body), GZIP), (body, {})):
        headers = token_headers(**{"Content-Type": PROTOBUF, **more})
        answer = client.post(path, content=content, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF)
        said = answer_type.FromString(answer.content)
        assert not said.HasField("partial_success")
    assert kept(inbox_url, kind, body) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/metrics", {"resourceMetrics": [{"a": 1}]}),
        ("/v1/logs", {"resourceLogs": []}),
        ("/v1/otel", {"resourceMetrics": [], "resourceLogs": [{"b": 1}]}),
        ("/v1/metrics", {}),
    ],
)
def test_json_is_answered_in_json(client: httpx.Client, path: str, body: object) -> None:
    answer = client.post(path, content=json.dumps(body).encode(), headers=token_headers())
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json"


def test_commits_are_taken_as_a_webhook(client: httpx.Client, inbox_url: str) -> None:
    body = b'[{"sha": "abc", "agent": "claude_code"}]'
    packed = gzip.compress(body)
    answer = client.post("/v1/commits", content=packed, headers=token_headers(**GZIP))
    assert answer.status_code == 202
    assert kept(inbox_url, "commits", body) == 1


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, b"\xff\xff\xff", 400, 3),
        ({"Authorization": "Bearer wrong"}, b"", 401, 16),
        ({"Authorization": "Basic wrong"}, b"", 401, 16),
        ({"Content-Encoding": "zstd"}, b"", 415, 3),
    ],
)
def test_a_refusal_is_a_status_message_in_the_format_of_the_request(
    client: httpx.Client, headers: dict[str, str], body: bytes, status: int, code: int
) -> None:
    given = token_headers(**{"Content-Type": PROTOBUF, **headers})
    answer = client.post("/v1/metrics", content=body, headers=given)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROTOBUF)
    said = Status.FromString(answer.content)
    assert (said.code, bool(said.message)) == (code, True)
    as_json = client.post("/v1/metrics", content=b"[]", headers=token_headers())
    assert (as_json.status_code, as_json.json()["code"]) == (400, 3)


def test_json_that_is_no_export_request_gets_400(client: httpx.Client) -> None:
    for body in (b"[]", b'{"resourceMetrics": {}}', b'{"resourceMetrics": null}'):
        assert client.post("/v1/metrics", content=body, headers=token_headers()).status_code == 400


def test_the_sdks_own_exporter_loses_nothing(receiver: Running, inbox_url: str) -> None:
    exporter = OTLPMetricExporter(
        endpoint=f"{receiver.url}/v1/metrics", headers={"Authorization": f"Bearer {SECRET}"}
    )
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, 60_000)])
    provider.get_meter("test").create_counter("claude_code.token.usage").add(7)
    assert provider.force_flush()
    provider.shutdown()
    query = (
        "select body from webhooks.deliveries where kind = 'otlp-metrics' order by id desc limit 2"
    )
    bodies = [bytes(body) for (body,) in rows(inbox_url, query)]
    assert any(b"claude_code.token.usage" in body for body in bodies)


def test_traces_are_answered_as_not_kept_and_are_not_stored(
    client: httpx.Client, inbox_url: str
) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="chat")
    body = request.SerializeToString()
    answer = client.post(
        "/v1/traces", content=body, headers=token_headers(**{"Content-Type": PROTOBUF})
    )
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, said.rejected_spans) == (200, 1)
    assert "not kept" in said.error_message
    as_json = client.post(
        "/v1/traces",
        content=b'{"resourceSpans":[{"scopeSpans":[{"spans":[{},{}]}]}]}',
        headers=token_headers(),
    )
    assert as_json.json()["partialSuccess"]["rejectedSpans"] == "2"
    assert client.post("/v1/traces", content=b"{}", headers=token_headers()).json() == {}
    unsigned = client.post("/v1/traces", content=body, headers={"Content-Type": PROTOBUF})
    assert unsigned.status_code == 401
    assert kept(inbox_url, "otlp-traces", body) == 0


def test_what_will_be_put_aside_is_told_in_the_answer_and_stored(
    client: httpx.Client, inbox_url: str
) -> None:
    request = metrics("claude_code.token.usage")
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    metric.sum.aggregation_temporality = 1
    for value in (5, -1, float("nan")):
        metric.sum.data_points.add(as_double=value, time_unix_nano=time.time_ns())
    body = request.SerializeToString()
    answer = client.post(
        "/v1/metrics", content=body, headers=token_headers(**{"Content-Type": PROTOBUF})
    )
    said = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, said.rejected_data_points) == (200, 2)
    assert kept(inbox_url, "otlp-metrics", body) == 1
    unknown = metrics("newcomer.tokens_spent")
    unknown.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points.add(
        as_int=1, time_unix_nano=time.time_ns()
    )
    content = unknown.SerializeToString()
    answer = client.post(
        "/v1/metrics", content=content, headers=token_headers(**{"Content-Type": PROTOBUF})
    )
    said = ExportMetricsServiceResponse.FromString(answer.content).partial_success
    assert (said.rejected_data_points, bool(said.error_message)) == (0, True)
