"""uvicorn's HTTP protocol with bounds on headers, which it has none of its own for.

A client that sends its headers slowly, or without end, is answered 408 or 431 and cut off. So is
one whose chunks come with more words than content: their extensions, and trailers after the last.
"""

import re
from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from flows.webhooks.settings import ReceiverSettings

# llhttp passes everything behind a request that offers another protocol (h2c, as some clients of
# HTTP/2 do) to that protocol, and the body is lost. None is spoken here: the offer is not heard.
OFFER = re.compile(rb"(?im)^upgrade(?=[ \t]*:)")
UNHEARD = b"x-offer"


class _HeadersRefusedError(Exception):
    pass


class BoundedProtocol(HttpToolsProtocol):
    """One connection. See ``bounded`` for its limits."""

    header_seconds: float
    message_seconds: float
    header_bytes: int
    header_count: int

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: TimerHandle | None = None
        self._is_in_headers = True
        self._unparsed_bytes = 0
        self._framing_bytes = 0
        self._body_bytes = 0
        self._refusal: HTTPStatus | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_in_headers:
            self._unparsed_bytes += len(data)
            if self._deadline is None:
                self._expect_headers()
            head, end, rest = data.partition(b"\r\n\r\n")
            data = OFFER.sub(UNHEARD, head) + end + rest
        else:
            self._framing_bytes += len(data)
        super().data_received(data)
        is_too_long = self._is_in_headers and self._unparsed_bytes > self.header_bytes
        if (is_too_long or self._is_overframed()) and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _is_overframed(self) -> bool:
        """Whether what came besides the content of a body is more than headers may be, and more
        than the content itself."""
        return self._framing_bytes > self.header_bytes + self._body_bytes

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
        self._unset_deadline()
        self._is_in_headers = False
        self._deadline = self.loop.call_later(self.message_seconds, self._on_deadline)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._unset_deadline()
        self._is_in_headers = True
        self._unparsed_bytes = self._framing_bytes = self._body_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
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
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            # An answer within an answer would be part of it.
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
        "message_seconds": 2 * settings.body_seconds + 1,
        "header_bytes": settings.header_bytes,
        "header_count": settings.header_count,
    }
    return type("ConfiguredProtocol", (BoundedProtocol,), limits)
