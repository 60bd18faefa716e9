"""uvicorn's HTTP protocol with bounds in each of its states, which it has none of its own for.

| State | Bound |
|---|---|
| connected, nothing sent | ``header_seconds`` |
| request line and headers | ``header_seconds``, ``header_bytes``, ``header_count``; one ``Host`` |
| how a body is sent | by its length or in chunks, not packed on its way |
| body | ``message_seconds``; its length is bounded where it is kept |
| chunk sizes, their extensions, trailers | ``FRAMING_BYTES`` more than a fourth of the content |
| requests sent ahead of their answers | ``MOST_AHEAD`` |
| answers that the client does not read | ``message_seconds`` |
| all connections of one address | ``address_connections`` |

Where an answer can still be understood it is 400, 408 or 431; then the connection ends.
"""

import re
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flows.webhooks.limits import is_within, sharer
from flows.webhooks.settings import ReceiverSettings

# llhttp passes everything behind a request that offers another protocol (h2c, as some clients of
# HTTP/2 do) to that protocol, and the body is lost. None is spoken here: the offer is not heard.
OFFER = re.compile(rb"(?i)(?<=\n)upgrade(?=:)")
UNHEARD = b"x-offer"
# The start of a line that may yet become an offer, or the line that ends the headers.
UNDECIDED = re.compile(rb"(?i)(?<=\n)(?:\r|u(?:p(?:g(?:r(?:a(?:de?)?)?)?)?)?)\Z")
HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*")
END_OF_HEAD = b"\n\r\n"
MOST_AHEAD = 16
FRAMING_BYTES = 8 * 1024
CONTENT_OF_FRAMING = 4
PARSED_BYTES = 16 * 1024
# Whose connections are not counted: of proxies that are trusted, and of sockets without an address.
NO_ADDRESS = ""


class _HeadersRefusedError(Exception):
    pass


class WholeAnswers:
    """A transport that sends all that is written in one turn of the loop at once.

    uvicorn writes the head of an answer and its body apart: two system calls, and two packets for
    which the client wakes.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self.send)
        self._written.append(data)

    def close(self) -> None:
        self.send()
        self._transport.close()

    def send(self) -> None:
        written = b"".join(self._written)
        self._written.clear()
        # The client may have gone since.
        if written and not self._transport.is_closing():
            self._transport.write(written)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. See ``bounded`` for its limits."""

    header_seconds: float
    message_seconds: float
    header_bytes: int
    header_count: int
    address_connections: int
    trusted_proxies: Sequence[IPv4Network | IPv6Network]
    by_address: Counter[str]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: TimerHandle | None = None
        self._is_in_headers = True
        self._unparsed_bytes = 0
        self._undecided = b""
        self._is_at_line_start = False
        self._framing_bytes = 0
        self._body_bytes = 0
        self._refusal: HTTPStatus | None = None
        self._reading_deadline: TimerHandle | None = None
        self._sharer = NO_ADDRESS

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._answers = WholeAnswers(transport, self.loop)
        super().connection_made(self._answers)  # type: ignore[arg-type]
        host = self.client[0] if self.client else NO_ADDRESS
        if not is_within(host, self.trusted_proxies):
            self._sharer = sharer(host)
            self.by_address[self._sharer] += 1
        if self.by_address[self._sharer] > self.address_connections:
            transport.abort()
            return
        self._expect_headers()

    def eof_received(self) -> None:
        """The client sends no more, and the transport closes itself."""
        self._answers.send()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        self.resume_writing()
        if self._sharer != NO_ADDRESS:
            self.by_address[self._sharer] -= 1
            if not self.by_address[self._sharer]:
                del self.by_address[self._sharer]
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called when the client does not read its answers; it has as long as for sending."""
        super().pause_writing()
        self._reading_deadline = self.loop.call_later(self.message_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading_deadline is not None:
            self._reading_deadline.cancel()
            self._reading_deadline = None

    def data_received(self, data: bytes) -> None:
        """A packet may hold tens of thousands of chunks: no more are worked at than are taken."""
        for start in range(0, len(data), PARSED_BYTES):
            if self.transport.is_closing():
                return
            self._parse(data[start : start + PARSED_BYTES])

    def _parse(self, data: bytes) -> None:
        if self._is_in_headers:
            self._unparsed_bytes += len(data)
            if self._deadline is None:
                self._expect_headers()
            data = self._without_offers(data)
        else:
            self._framing_bytes += len(data)
        super().data_received(data)
        is_too_long = self._is_in_headers and self._unparsed_bytes > self.header_bytes
        if (is_too_long or self._is_overframed()) and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _without_offers(self, data: bytes) -> bytes:
        """The next bytes of the headers, and what follows them, with no offer of a protocol.

        The start of a line that may become one waits for its next bytes, wherever they were cut.
        """
        before = b"\n" if self._is_at_line_start else b" "
        data = before + self._undecided + data
        self._undecided = b""
        head, end, rest = data.partition(END_OF_HEAD)
        if not end and (waiting := UNDECIDED.search(head)):
            self._undecided, head = waiting.group(), head[: waiting.start()]
        self._is_at_line_start = head.endswith(b"\n")
        self._framing_bytes = len(rest)
        return (OFFER.sub(UNHEARD, head) + end + rest)[1:]

    def _is_overframed(self) -> bool:
        """Whether more came besides the content of a body than some, and more than a part of the
        content: each chunk is work, however short."""
        return self._framing_bytes > FRAMING_BYTES + self._body_bytes // CONTENT_OF_FRAMING

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers come the same way, and are no headers: nothing may be added to those later."""
        if self._is_in_headers:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.header_bytes or len(self.headers) > self.header_count:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _HeadersRefusedError
        hosts = self._all_of(b"host")
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise _HeadersRefusedError
        codings = [each.lower() for each in self._all_of(b"transfer-encoding")]
        if codings not in ([], [b"chunked"]) or not all(map(HOST.fullmatch, hosts)):
            # What only one of two readers unpacks is two bodies.
            raise _HeadersRefusedError
        if self.parser.should_upgrade():
            # An offer behind another request of the same packet: its body is lost already.
            raise _HeadersRefusedError
        if len(self.pipeline) >= MOST_AHEAD:
            self.transport.abort()
            raise _HeadersRefusedError
        self._unset_deadline()
        self._is_in_headers = False
        self._deadline = self.loop.call_later(self.message_seconds, self._on_deadline)
        super().on_headers_complete()

    def _all_of(self, name: bytes) -> list[bytes]:
        return [value.strip() for each, value in self.headers if each == name]

    def on_message_complete(self) -> None:
        self._unset_deadline()
        self._is_in_headers = True
        self._is_at_line_start = False
        self._unparsed_bytes = self._framing_bytes = self._body_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(self._refusal or HTTPStatus.BAD_REQUEST)

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._on_deadline)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        # Who sends nothing, or a body without end, is cut off without a word: a slow body that is
        # still wanted has been answered by the application.
        if self._is_in_headers and self._unparsed_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering and (self._is_in_headers or cycle.response_started):
            # An answer within an answer would be part of it; one out of order, another's.
            self._unset_deadline()
            self.transport.close()
            return
        text = f"{status.phrase}\n".encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: text/plain; charset=utf-8\r\ncontent-length: {len(text)}\r\n"
            "connection: close\r\n\r\n"
        )
        self._unset_deadline()
        self.transport.write(head.encode() + text)
        self.transport.close()


def bounded(settings: ReceiverSettings) -> type[BoundedProtocol]:
    """The protocol with the limits of these settings."""
    limits = {
        "header_seconds": settings.header_seconds,
        "message_seconds": settings.message_seconds,
        "header_bytes": settings.header_bytes,
        "header_count": settings.header_count,
        "address_connections": settings.address_connections,
        "trusted_proxies": settings.trusted_proxies,
        "by_address": Counter(),
    }
    return type("ConfiguredProtocol", (BoundedProtocol,), limits)
