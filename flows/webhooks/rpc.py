"""OTLP over gRPC: each call becomes a request to the application that takes OTLP over HTTP.

So it passes the same door: addresses, rate, token (as metadata), bounds, answers. gRPC's library
inflates messages itself, up to the longest that it takes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from urllib.parse import unquote

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc.aio import ServicerContext
from starlette.types import ASGIApp, Message

from flows._shared.errors import PermanentError
from flows.webhooks.answers import RPC_CODES
from flows.webhooks.settings import ReceiverSettings, Source
from flows.webhooks.sources import PROTOBUF

SERVICES: Mapping[str, str] = {
    "otlp-metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "otlp-logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "otlp-traces": "opentelemetry.proto.collector.trace.v1.TraceService",
}
CODES = {code.value[0]: code for code in grpc.StatusCode}
NOT_SERVED = {404: 12, 405: 12}
IDENTITY_AND_GZIP = 0b101
STREAMS_OF_CONNECTION = 32
IDLE_MILLISECONDS = 300_000
WINDOW_BYTES = 64 * 1024
STOP_SECONDS = 5.0
# What HTTP says of a body, gRPC says in its own way.
OF_TRANSPORT = frozenset(
    ("content-type", "content-encoding", "content-length", "transfer-encoding", "host", "expect")
)

Export = Callable[[str, AsyncIterator[bytes], ServicerContext], Awaitable[bytes]]


class RpcServer:
    """Listens on a port of its own.

    Args:
        application: the receiver's, with what it puts before it to know a sender's address.
    """

    def __init__(
        self, settings: ReceiverSettings, sources: Sequence[Source], application: ASGIApp
    ) -> None:
        self._settings = settings
        self._application = application
        endpoints = {
            SERVICES[endpoint.protocol]: endpoint
            for source in sources
            for endpoint in source.endpoints
            if endpoint.protocol in SERVICES and PROTOBUF in endpoint.content_types
        }
        self._paths = {
            f"/{service}/Export": endpoint.path for service, endpoint in endpoints.items()
        }
        self._longest = max((each.max_bytes for each in endpoints.values()), default=0)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            PermanentError: the port is taken, or no source takes OTLP.
        """
        address = f"{_bracketed(self._settings.host)}:{self._settings.grpc_port}"
        if not self._paths:
            raise PermanentError(
                f"listening for OTLP over gRPC on {address}",
                "no source that is served takes it",
                "Serve `agent_analytics`, or clear `grpc_port`",
            )
        # Messages of as many calls are read at a time as fit the memory for bodies.
        self._room = asyncio.Semaphore(max(1, self._settings.bytes_in_flight // self._longest))
        self._server = grpc.aio.server(
            options=self._options(), maximum_concurrent_rpcs=self._settings.connections
        )
        self._server.add_generic_rpc_handlers([_Handler(self._paths, self._export)])
        try:
            self._server.add_insecure_port(address)
        except RuntimeError:
            raise PermanentError(
                f"listening for OTLP over gRPC on {address}",
                "the address cannot be taken",
                "End what listens there, or set another `grpc_port`",
            ) from None
        await self._server.start()

    async def stop(self) -> None:
        if self._server:
            await self._server.stop(STOP_SECONDS)

    def _options(self) -> list[tuple[str, int]]:
        settings = self._settings
        return [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self._longest),
            ("grpc.compression_enabled_algorithms_bitset", IDENTITY_AND_GZIP),
            ("grpc.max_metadata_size", settings.header_bytes),
            ("grpc.absolute_max_metadata_size", settings.header_bytes),
            ("grpc.max_concurrent_streams", STREAMS_OF_CONNECTION),
            ("grpc.max_allowed_incoming_connections", settings.connections),
            ("grpc.max_connection_idle_ms", IDLE_MILLISECONDS),
            ("grpc.server_handshake_timeout_ms", int(settings.header_seconds * 1000)),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
        ]

    async def _export(
        self, path: str, messages: AsyncIterator[bytes], context: ServicerContext
    ) -> bytes:
        # What the application has begun it ends, as for a client of HTTP that went away.
        status, headers, body = await asyncio.shield(
            asyncio.create_task(self._answer(path, messages, context))
        )
        if status == 200:
            return body
        code = NOT_SERVED.get(status, RPC_CODES.get(status, 2))
        refused = Status(code=code, message=_message(body))
        if seconds := headers.get("retry-after"):
            # Without it exporters take a quota that is used up for a refusal.
            retry = AnyMessage()
            retry.Pack(RetryInfo(retry_delay=Duration(seconds=int(seconds))))
            refused.details.append(retry)
        context.set_trailing_metadata((("grpc-status-details-bin", refused.SerializeToString()),))
        await context.abort(CODES[code], refused.message)
        raise AssertionError("abort raises")

    async def _answer(
        self, path: str, messages: AsyncIterator[bytes], context: ServicerContext
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the application's answer to a call."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "2",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*_headers(context), (b"content-type", PROTOBUF.encode())],
            "client": _client(context.peer()),
            "server": None,
        }
        answered: list[Message] = []

        async def send(message: Message) -> None:
            answered.append(message)

        reading = _Reading(messages, self._room)
        try:
            await self._application(scope, reading.receive, send)
        finally:
            reading.release()
        begin, *parts = answered
        headers = {name.decode(): value.decode() for name, value in begin["headers"]}
        return begin["status"], headers, b"".join(part.get("body", b"") for part in parts)


class _Handler:
    """Takes the methods of these paths. Their messages stay bytes, which the door examines."""

    def __init__(self, paths: Mapping[str, str], export: Export) -> None:
        self._paths = paths
        self._export = export

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = self._paths.get(details.method)
        if path is None:
            return None
        # A stream, of which one message is read: who may not send is refused before it is.
        return grpc.stream_unary_rpc_method_handler(partial(self._export, path))


class _Reading:
    """The message of a call as the body of a request, once there is room for it."""

    def __init__(self, messages: AsyncIterator[bytes], room: asyncio.Semaphore) -> None:
        self._messages = messages
        self._room = room
        self._has_room = False

    async def receive(self) -> Message:
        await self._room.acquire()
        self._has_room = True
        try:
            body = await anext(self._messages)
        except (StopAsyncIteration, grpc.aio.BaseError):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    def release(self) -> None:
        if self._has_room:
            self._room.release()


def _headers(context: ServicerContext) -> list[tuple[bytes, bytes]]:
    """The metadata as headers, without those by which HTTP describes a body."""
    return [
        (key.lower().encode(), value if isinstance(value, bytes) else value.encode())
        for key, value in context.invocation_metadata() or ()
        if key.lower() not in OF_TRANSPORT
    ]


def _client(peer: str) -> tuple[str, int] | None:
    """Address and port of gRPC's ``ipv4:127.0.0.1:5000`` and ``ipv6:%5B::1%5D:5000``."""
    kind, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") else None


def _message(body: bytes) -> str:
    try:
        return str(Status.FromString(body).message)
    except DecodeError:
        return body.decode(errors="replace").strip()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
