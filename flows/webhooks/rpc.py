"""OTLP over gRPC: each call becomes a request to the application that takes OTLP over HTTP.

So it passes the same door: addresses, rate, token (as metadata), bounds, answers. gRPC's library
inflates messages itself, up to the longest that it takes. It knows no client from another; what one
address may hold is bounded here:

| What | Bound |
|---|---|
| connections | ``address_connections``, where they are taken (``relay``) |
| calls that wait or are answered | as many |
| messages that are read and in memory | half of the rooms there are for them; the others wait |
| a message that is not read yet | ``WINDOW_BYTES``; who may not send is refused before it is |
| headers of a call, calls of a connection | ``header_bytes``, ``STREAMS_OF_CONNECTION`` |
| pings | two too many end the connection |
| frames that carry little | ``FRAMES_PER_SECOND`` (``relay``) |
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc.aio import ServicerContext
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from flows._shared.errors import PermanentError
from flows.webhooks.answers import RPC_CODES
from flows.webhooks.limits import Rooms, sharer
from flows.webhooks.relay import Client, Relay
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
PING_MILLISECONDS = 10_000
PING_STRIKES = 2
RETRY_SECONDS = 5
# What HTTP says of a body, gRPC says in its own way.
OF_TRANSPORT = frozenset(
    ("content-type", "content-encoding", "content-length", "transfer-encoding", "host", "expect")
)

# A message is not on its way before it is asked for: nobody is heard out for the sake of an answer.
OF_A_CALL = ((b"content-type", PROTOBUF.encode()), (b"expect", b"100-continue"))

Export = Callable[[str, AsyncIterator[bytes], ServicerContext], Awaitable[bytes]]


class RpcServer:
    """Listens on a port of its own.

    Args:
        application: the receiver's.
    """

    def __init__(
        self, settings: ReceiverSettings, sources: Sequence[Source], application: ASGIApp
    ) -> None:
        self._settings = settings
        self._application: ASGIApp = _Shared(application, settings.address_connections)
        if proxies := [str(network) for network in settings.trusted_proxies]:
            known = ProxyHeadersMiddleware(cast(Any, self._application), proxies)
            self._application = cast(ASGIApp, known)
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
        self._relay = Relay(
            settings.connections,
            settings.address_connections,
            settings.trusted_proxies,
            settings.message_seconds,
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            PermanentError: the port is taken, or no source takes OTLP.
        """
        settings = self._settings
        address = f"{_bracketed(settings.host)}:{settings.grpc_port}"
        if not self._paths or settings.grpc_port is None:
            raise PermanentError(
                f"listening for OTLP over gRPC on {address}",
                "no source that is served takes it",
                "Serve `agent_analytics`, or clear `grpc_port`",
            )
        # Messages of as many calls are read at a time as fit the memory for bodies.
        self._rooms = Rooms(max(1, settings.bytes_in_flight // self._longest))
        self._server = grpc.aio.server(
            options=self._options(), maximum_concurrent_rpcs=settings.connections
        )
        self._server.add_generic_rpc_handlers([_Handler(self._paths, self._export)])
        self._server.add_insecure_port(f"unix:{self._relay.behind}")
        await self._server.start()
        try:
            await self._relay.start(settings.host, settings.grpc_port)
        except OSError:
            await self.stop()
            raise PermanentError(
                f"listening for OTLP over gRPC on {address}",
                "the address cannot be taken",
                "End what listens there, or set another `grpc_port`",
            ) from None

    async def stop(self) -> None:
        self._relay.close()
        if self._server:
            await self._server.stop(STOP_SECONDS)
        self._relay.remove()

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
            ("grpc.http2.min_ping_interval_without_data_ms", PING_MILLISECONDS),
            ("grpc.http2.max_ping_strikes", PING_STRIKES),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
        ]

    async def _export(
        self, path: str, messages: AsyncIterator[bytes], context: ServicerContext
    ) -> bytes:
        client = self._relay.client_of(context.peer().removeprefix("unix:"))
        # What the application has begun it ends, as for a client of HTTP that went away.
        answering = asyncio.create_task(self._answer(path, client, messages, context))
        status, headers, body = await asyncio.shield(answering)
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
        self,
        path: str,
        client: Client | None,
        messages: AsyncIterator[bytes],
        context: ServicerContext,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the application's answer to a call."""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "2",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*_headers(context), *OF_A_CALL],
            "client": client,
            "server": None,
        }
        answered: list[Message] = []

        async def send(message: Message) -> None:
            answered.append(message)

        reading = _Reading(messages, self._rooms, scope)
        try:
            await self._application(scope, reading.receive, send)
        finally:
            await reading.leave()
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


class _Shared:
    """The application, with no more calls at a time for one address than its share."""

    def __init__(self, application: ASGIApp, most: int) -> None:
        self._application = application
        self._most = most
        self._calls: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = _address(scope)
        self._calls[address] += 1
        try:
            if self._calls[address] <= self._most:
                await self._application(scope, receive, send)
            else:
                said = Status(code=RPC_CODES[429], message="Too many calls at once")
                after = {"retry-after": str(RETRY_SECONDS)}
                await Response(said.SerializeToString(), 429, after)(scope, receive, send)
        finally:
            self._calls[address] -= 1
            if not self._calls[address]:
                del self._calls[address]


class _Reading:
    """The message of a call as the body of a request, once there is room for it."""

    def __init__(self, messages: AsyncIterator[bytes], rooms: Rooms, scope: Scope) -> None:
        self._messages = messages
        self._rooms = rooms
        self._scope = scope
        self._room_of: str | None = None

    async def receive(self) -> Message:
        # Not before: the application knows by now for whom a proxy asks.
        address = _address(self._scope)
        await self._rooms.enter(address)
        self._room_of = address
        try:
            body = await anext(self._messages)
        except (StopAsyncIteration, grpc.aio.BaseError):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def leave(self) -> None:
        if self._room_of is not None:
            await self._rooms.leave(self._room_of)


def _address(scope: Scope) -> str:
    client = scope["client"]
    return sharer(client[0]) if client else ""


def _headers(context: ServicerContext) -> list[tuple[bytes, bytes]]:
    """The metadata as headers, without those by which HTTP describes a body."""
    return [
        (key.lower().encode(), value if isinstance(value, bytes) else value.encode())
        for key, value in context.invocation_metadata() or ()
        if key.lower() not in OF_TRANSPORT
    ]


def _message(body: bytes) -> str:
    try:
        return str(Status.FromString(body).message)
    except DecodeError:
        return body.decode(errors="replace").strip()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
