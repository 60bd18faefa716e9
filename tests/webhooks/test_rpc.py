"""OTLP over gRPC, as exporters send it: the same door as over HTTP."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flows._shared.errors import PermanentError
from flows.webhooks.rpc import RpcServer
from flows.webhooks.settings import ReceiverSettings
from flows.webhooks.sources import BUILT_IN
from tests.ports import own_ports
from tests.webhooks.attacks import gzip_bomb
from tests.webhooks.harness import FIRST_PORT, SECRET, Running, rows
from tests.webhooks.test_otlp import kept, metrics

METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TOKEN = (("authorization", f"Bearer {SECRET}"),)
LONGEST = 16 * 1024**2
# Less than the receiver waits for a body.
AT_ONCE = 3.0


@pytest.fixture(scope="module")
def channel(receiver: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(
        receiver.grpc_address, [("grpc.max_send_message_length", -1)]
    ) as channel:
        yield channel


def call(
    channel: grpc.Channel, body: bytes, method: str = METRICS, metadata: Any = TOKEN, **more: Any
) -> bytes:
    return bytes(channel.unary_unary(method)(body, metadata=metadata, timeout=30, **more))


def refusal(channel: grpc.Channel, body: bytes, **more: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        call(channel, body, **more)
    return refused.value


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_sdks_own_exporters_lose_nothing(
    receiver: Running, inbox_url: str, compression: grpc.Compression
) -> None:
    name = f"claude_code.token.usage.{compression.name}".lower()
    target: dict[str, Any] = {
        "endpoint": receiver.grpc_address, "insecure": True, "headers": TOKEN,
        "compression": compression,
    }  # fmt: skip
    provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(**target), 60_000)])
    provider.get_meter("test").create_counter(name).add(7)
    assert provider.force_flush()
    provider.shutdown()
    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**target)))
    logs.get_logger("test").emit(body=name, timestamp=time.time_ns())
    logs.shutdown()
    for kind in ("otlp-metrics", "otlp-logs"):
        query = (
            "select count(*) > 0 from webhooks.deliveries "
            "where kind = %s and position(%s::bytea in body) > 0"
        )
        assert rows(inbox_url, query, kind, name.encode()) == [(True,)]


def test_the_same_export_by_http_and_by_grpc_is_one_delivery(
    channel: grpc.Channel, receiver: Running, inbox_url: str
) -> None:
    body = metrics("by both").SerializeToString()
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        assert call(channel, body, compression=compression) == b""
    headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {SECRET}"}
    assert httpx.post(f"{receiver.url}/v1/metrics", content=body, headers=headers).is_success
    assert kept(inbox_url, "otlp-metrics", body) == 1


def test_what_will_be_put_aside_is_told_in_the_answer(channel: grpc.Channel) -> None:
    request = metrics("claude_code.token.usage")
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    metric.sum.aggregation_temporality = 1
    for value in (5, -1):
        metric.sum.data_points.add(as_double=value, time_unix_nano=time.time_ns())
    said = ExportMetricsServiceResponse.FromString(call(channel, request.SerializeToString()))
    assert said.partial_success.rejected_data_points == 1


def test_traces_are_answered_as_not_kept(channel: grpc.Channel, receiver: Running) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="chat")
    said = ExportTraceServiceResponse.FromString(
        call(channel, request.SerializeToString(), method=TRACES)
    )
    assert said.partial_success.rejected_spans == 1
    provider = TracerProvider()
    exporter = OTLPSpanExporter(receiver.grpc_address, insecure=True, headers=TOKEN)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("test").start_span("chat").end()
    provider.shutdown()


@pytest.mark.parametrize(
    ("metadata", "body", "code"),
    [
        ((), b"", grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer wrong"),), b"", grpc.StatusCode.UNAUTHENTICATED),
        ((*TOKEN, ("authorization", "Bearer wrong")), b"", grpc.StatusCode.INVALID_ARGUMENT),
        (TOKEN, b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
        ((*TOKEN, ("content-encoding", "gzip")), b"", None),
        ((*TOKEN, ("transfer-encoding", "chunked"), ("content-length", "1" * 40)), b"", None),
    ],
)
def test_who_and_what_is_taken_is_the_same_as_over_http(
    channel: grpc.Channel, metadata: Any, body: bytes, code: grpc.StatusCode | None
) -> None:
    if code is None:
        assert call(channel, body, metadata=metadata) == b""
        return
    refused = refusal(channel, body, metadata=metadata)
    assert refused.code() == code
    assert refused.details()
    assert SECRET not in refused.details()


def test_who_sends_nothing_or_goes_away_keeps_nobody_out(channel: grpc.Channel) -> None:
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(30)
        yield from ()

    slow = channel.stream_unary(METRICS)
    gone = [slow.future(nothing(), metadata=TOKEN) for _ in range(20)]
    time.sleep(0.5)
    for each in gone[1:]:
        each.cancel()
    assert call(channel, b"") == b""
    with pytest.raises(grpc.RpcError) as refused:
        gone[0].result(timeout=30)
    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as refused:
        slow(nothing(), timeout=30)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - began < AT_ONCE, "its message was waited for"

    elsewhere = (*TOKEN, ("x-forwarded-for", "203.0.113.9"))
    held = [slow.future(nothing(), metadata=elsewhere) for _ in range(20)]
    time.sleep(0.5)
    began = time.monotonic()
    assert call(channel, b"") == b""
    assert time.monotonic() - began < AT_ONCE, "another address holds all rooms for messages"
    for each in held:
        each.cancel()
    over.set()


def test_no_address_has_more_calls_at_a_time_than_its_share() -> None:
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await Response(b"")(scope, receive, send)

    async def asked() -> grpc.aio.AioRpcError:
        port = next(own_ports(FIRST_PORT))
        server = RpcServer(ReceiverSettings(grpc_port=port, connections=8), BUILT_IN, waits)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            first, second = (channel.stream_unary(METRICS)() for _ in range(2))
            for each in (first, second):
                await each.wait_for_connection()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(METRICS)(b"")
            await first.write(b"")
            assert await first == b""
            assert await channel.unary_unary(METRICS)(b"") == b""
            second.cancel()
        await server.stop()
        return refused.value

    refused = asyncio.run(asked())
    assert (refused.code(), refused.details()) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Too many calls at once",
    )
    assert retry_seconds(refused) == 5


def test_a_refusal_that_passes_says_when_to_try_again() -> None:
    seen = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"])
        answer = Response(Status(code=8, message="Too much").SerializeToString(), 429)
        answer.headers["retry-after"] = "7"
        await answer(scope, receive, send)

    async def asked() -> grpc.aio.AioRpcError:
        port = next(own_ports(FIRST_PORT))
        server = RpcServer(ReceiverSettings(grpc_port=port), BUILT_IN, busy)
        await server.start()
        with pytest.raises(PermanentError, match="cannot be taken"):
            await RpcServer(ReceiverSettings(grpc_port=port), BUILT_IN, busy).start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(METRICS)(b"")
        await server.stop()
        return refused.value

    refused = asyncio.run(asked())
    assert (refused.code(), refused.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Too much")
    assert retry_seconds(refused) == 7
    assert seen[0][0] == "127.0.0.1"


def retry_seconds(refused: grpc.aio.AioRpcError) -> int:
    (details,) = [
        value for key, value in refused.trailing_metadata() if key == "grpc-status-details-bin"
    ]
    retry = RetryInfo()
    assert Status.FromString(bytes(details)).details[0].Unpack(retry)
    return int(retry.retry_delay.seconds)


def test_no_source_of_otlp_is_told() -> None:
    server = RpcServer(ReceiverSettings(grpc_port=1), BUILT_IN[:1], Response())
    with pytest.raises(PermanentError, match="no source that is served takes it"):
        asyncio.run(server.start())


def test_methods_that_are_not_served_are_unimplemented(channel: grpc.Channel) -> None:
    for method in (METRICS.replace("Export", "Import"), "/a.B/C", "/healthz"):
        assert refusal(channel, b"", method=method).code() == grpc.StatusCode.UNIMPLEMENTED


def test_longer_messages_than_by_http_are_refused_packed_or_not(
    channel: grpc.Channel, receiver: Running
) -> None:
    too_long = b"\x0a" * (LONGEST + 1)
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        refused = refusal(channel, too_long, compression=compression)
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    before = resident(receiver)
    bomb = gzip_bomb(1024)
    frame = b"\x01" + len(bomb).to_bytes(4, "big") + bomb
    headers = {
        "te": "trailers", "content-type": "application/grpc", "grpc-encoding": "gzip",
        "authorization": TOKEN[0][1],
    }  # fmt: skip
    with httpx.Client(http1=False, http2=True, timeout=30) as client:
        answer = client.post(
            f"http://{receiver.grpc_address}{METRICS}", content=frame, headers=headers
        )
    assert answer.headers["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    assert resident(receiver) - before < 100 * 1024**2


def resident(receiver: Running) -> int:
    status = Path(f"/proc/{receiver.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
