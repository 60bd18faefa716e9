"""Taking one delivery in: who may post, what is taken, what is answered.

The checks come in the order of their price: address, rate, headers, length, signature, body.
Nothing is parsed before the signature was checked, nothing is answered 2xx before it is durable.
"""

import asyncio
import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flows.webhooks import answers, heads
from flows.webhooks.bodies import BodyError, Content, decompress, examine, too_long
from flows.webhooks.examining import Examiner, NoExaminerError
from flows.webhooks.in_flight import RETRY_AFTER, SMALL_BODY_BYTES, InFlight, RefusedError
from flows.webhooks.inbox import NewDelivery
from flows.webhooks.limits import RateLimit, sharer
from flows.webhooks.metrics import Metrics
from flows.webhooks.networks import Networks
from flows.webhooks.secrets import Secrets
from flows.webhooks.settings import Endpoint, ReceiverSettings, Source
from flows.webhooks.signatures import Claim, SignatureError, Signed, claim, names
from flows.webhooks.writer import InboxDownError, Kept, Writer

# Above the first, signatures are worked out beside the loop, above the second bodies are looked
# into beside the process: the worst of that length takes it a fifteenth of a second.
WORKED_IN_LOOP_BYTES = 256 * 1024
EXAMINED_IN_LOOP_BYTES = 64 * 1024
KIND = re.compile(r"[\w.-]{1,64}", re.ASCII)
ONCE = ("authorization", "content-encoding", "content-type")
# A client that is still sending hears an answer only once it has sent all. Up to so many times the
# longest body is read for its sake, and thrown away.
DRAINED_BODIES = 2

log = logging.getLogger("webhooks.request")

Result = TypeVar("Result")


@dataclass
class Told:
    """What the log line of a request says besides its answer."""

    kind: str | None = None
    delivery_id: str | None = None
    bytes: int = 0
    held: int = 0
    outcome: str | None = None


class Intake:
    """One endpoint, as an ASGI application."""

    def __init__(
        self,
        settings: ReceiverSettings,
        source: Source,
        endpoint: Endpoint,
        secrets: Secrets,
        networks: Networks,
        writer: Writer,
        metrics: Metrics,
        in_flight: InFlight,
        rate: RateLimit,
        examiner: Examiner,
    ) -> None:
        self._settings = settings
        self._source = source
        self._endpoint = endpoint
        self._secrets = secrets
        self._networks = networks
        self._writer = writer
        self._metrics = metrics
        self._in_flight = in_flight
        self._rate = rate
        self._examiner = examiner
        given = (endpoint.kind_header, endpoint.delivery_id_header)
        own = {name.lower() for name in given if name}
        self._once = names(source.schemes) | own | set(ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.take(Request(scope, receive, send))
        await response(scope, receive, send)

    async def take(self, request: Request) -> Response:
        """Take a delivery in and answer; never raises for what a sender did."""
        began = time.monotonic()
        request_id = heads.request_id(request)
        told = Told()
        try:
            response = await self._take(request, told)
        except RefusedError as error:
            self._metrics.refused.labels(self._source.name, error.reason).inc()
            told.outcome = error.reason
            response = answers.refused(
                self._endpoint,
                heads.media_type(request),
                error.status,
                error.message,
                error.headers,
            )
        finally:
            self._in_flight.release(sharer(heads.address(request)), told.held)
        seconds = time.monotonic() - began
        response.headers["x-request-id"] = request_id
        self._metrics.requests.labels(self._source.name, response.status_code).inc()
        self._metrics.seconds.labels(self._source.name).observe(seconds)
        self._metrics.bytes_in_flight.set(self._in_flight.bytes)
        log.info(
            "answered",
            extra={
                "request_id": request_id,
                "source": self._source.name,
                "kind": told.kind,
                "delivery_id": told.delivery_id,
                "client": heads.address(request),
                "status": response.status_code,
                "outcome": told.outcome,
                "bytes": told.bytes,
                "ms": round(seconds * 1000, 1),
            },
        )
        return response

    async def _take(self, request: Request, told: Told) -> Response:
        delivery, found = await self._delivery(request, told)
        if self._endpoint.protocol == "otlp-traces":
            told.outcome = "not kept"
            return answers.told(self._endpoint, delivery.content_type, found.partial)
        try:
            kept = await self._writer.keep(delivery)
        except InboxDownError:
            raise RefusedError(
                503, "inbox down", "The delivery could not be stored", RETRY_AFTER
            ) from None
        told.outcome = kept.value
        self._metrics.kept.labels(self._source.name, kept.value).inc()
        if kept is Kept.CONFLICT:
            raise RefusedError(
                409, "conflict", "Another body came under the same id; both are kept"
            )
        if self._endpoint.protocol == "webhook":
            return answers.accepted(delivery.delivery_id, kept)
        return answers.told(self._endpoint, delivery.content_type, found.partial)

    async def _delivery(self, request: Request, told: Told) -> tuple[NewDelivery, Content]:
        received_at = datetime.now(UTC)
        try:
            self._check_sender(request)
            is_gzip = self._check_headers(request)
            told.kind = self._kind(request)
            given_id = self._given_id(request)
            claimed = self._claim(request)
        except RefusedError as error:
            if not await self._drain(request):
                error.headers["connection"] = "close"
            raise
        body = await self._body(request, told)
        signed = await self._verified(claimed, body)
        delivery_id = self._valid_id(signed.delivery_id or given_id)
        try:
            content = await self._unpacked(request, body, told) if is_gzip else body
            found, told.delivery_id = await self._examined(
                request, content, told.kind or "", delivery_id
            )
        except BodyError as error:
            raise RefusedError(error.status, error.reason, error.message) from None
        is_silent = found.is_silent or told.kind in self._endpoint.silent_kinds
        delivery = NewDelivery(
            source=self._source.name,
            kind=told.kind,
            delivery_id=told.delivery_id,
            slug=None if is_silent else self._endpoint.slug,
            received_at=received_at,
            content_type=heads.media_type(request),
            body=content,
            payload=found.payload,
            headers=heads.kept_headers(request),
            attributes=found.attributes,
        )
        return delivery, found

    async def _unpacked(self, request: Request, body: bytes, told: Told) -> bytes:
        """The content of gzip, which is held beside it until the answer."""
        content = await _worked(lambda: decompress(body, self._endpoint.max_bytes), True)
        self._in_flight.add(sharer(heads.address(request)), len(content), told.held)
        told.held += len(content)
        return content

    async def _examined(
        self, request: Request, content: bytes, kind: str, delivery_id: str | None
    ) -> tuple[Content, str]:
        """What is in a body, and under which id."""
        asked = (self._endpoint, self._source.silent_where, heads.media_type(request), content)
        if len(content) <= EXAMINED_IN_LOOP_BYTES:
            return examine(*asked), delivery_id or self._own_id(kind, content)
        is_large = len(content) > SMALL_BODY_BYTES
        async with self._in_flight.parsing_large if is_large else self._in_flight.parsing:
            try:
                found = await self._examiner.examine(*asked)
            except NoExaminerError:
                raise RefusedError(
                    503, "no examiner", "The body could not be read", RETRY_AFTER
                ) from None
        if delivery_id is None:
            delivery_id = await _worked(lambda: self._own_id(kind, content), True)
        return found, delivery_id

    def _check_sender(self, request: Request) -> None:
        address = heads.address(request)
        if not self._networks.allow(self._source, address):
            raise RefusedError(403, "address", "This address may not post here")
        wait = self._rate.take(sharer(address), time.monotonic())
        if wait:
            after = {"retry-after": str(max(1, round(wait)))}
            raise RefusedError(429, "rate", "Too many requests", after)

    def _check_headers(self, request: Request) -> bool:
        """Whether the body is gzip."""
        given = [name for name in request.headers if name in self._once]
        if len(given) > len(set(given)):
            raise RefusedError(400, "header twice", "A header that decides is there twice")
        media_type = heads.media_type(request)
        if media_type not in self._endpoint.content_types or not heads.is_utf8(request):
            raise RefusedError(
                415,
                "content type",
                f"The content type must be {' or '.join(self._endpoint.content_types)}, in UTF-8",
            )
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        is_gzip = encoding == "gzip" and self._endpoint.accepts_gzip
        if not is_gzip and encoding != "identity":
            accepted = {"accept-encoding": "gzip" if self._endpoint.accepts_gzip else "identity"}
            raise RefusedError(415, "encoding", "The content encoding is not taken here", accepted)
        if heads.told_length(request) > self._endpoint.max_bytes:
            raise self._too_long()
        return is_gzip

    def _kind(self, request: Request) -> str:
        if self._endpoint.kind is not None:
            return self._endpoint.kind
        assert self._endpoint.kind_header is not None
        found = request.headers.get(self._endpoint.kind_header, "")
        if not KIND.fullmatch(found):
            raise RefusedError(
                400, "kind", f"The header {self._endpoint.kind_header} is missing or malformed"
            )
        return found

    def _given_id(self, request: Request) -> str | None:
        name = self._endpoint.delivery_id_header
        found = request.headers.get(name) if name else None
        if not found and self._endpoint.without_id == "refuse":
            raise RefusedError(400, "delivery id", f"The header {name} is missing")
        return self._valid_id(found)

    def _valid_id(self, found: str | None) -> str | None:
        if found and not re.fullmatch(self._endpoint.delivery_id_pattern, found):
            raise RefusedError(400, "delivery id", "The id of the delivery is malformed")
        return found or None

    def _own_id(self, kind: str, content: bytes) -> str:
        if self._endpoint.without_id == "by content":
            return f"{kind}-{hashlib.sha256(content).hexdigest()}"
        return str(uuid.uuid4())

    def _claim(self, request: Request) -> Claim | Signed:
        """What can be said of the sender without the body."""
        if self._source.unsigned:
            return Signed()
        if not self._secrets.of(self._source):
            raise RefusedError(503, "no secret", "This source is not set up", RETRY_AFTER)
        with _signature_refused():
            secrets = self._secrets.opening(self._source, self._endpoint.path)
            return claim(self._source.schemes, secrets, request.headers, time.time())

    async def _verified(self, claimed: Claim | Signed, body: bytes) -> Signed:
        if isinstance(claimed, Signed):
            return claimed
        secrets = self._secrets.opening(self._source, self._endpoint.path)
        with _signature_refused():
            return await _worked(
                lambda: claimed.verify(secrets, body), len(body) > WORKED_IN_LOOP_BYTES
            )

    async def _body(self, request: Request, told: Told) -> bytes:
        chunks: list[bytes] = []
        has_more = True
        address = sharer(heads.address(request))
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while has_more and told.bytes <= self._endpoint.max_bytes:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "gone", "The sender went away")
                    chunk = message.get("body", b"")
                    has_more = message.get("more_body", False)
                    self._in_flight.add(address, len(chunk), told.held)
                    told.held += len(chunk)
                    told.bytes += len(chunk)
                    chunks.append(chunk)
        except TimeoutError:
            raise RefusedError(
                408, "slow", "The body did not arrive in time", {"connection": "close"}
            ) from None
        if told.bytes > self._endpoint.max_bytes:
            chunks.clear()
            if has_more:
                await self._drain(request)
            raise self._too_long()
        return b"".join(chunks)

    async def _drain(self, request: Request) -> bool:
        """Whether the sender has sent all."""
        left = DRAINED_BODIES * self._endpoint.max_bytes
        if request.headers.get("expect", "").lower() == "100-continue":
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.body_seconds):
                while left > 0:
                    message = await request.receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        return True
        return False

    def _too_long(self) -> RefusedError:
        error = too_long(self._endpoint.max_bytes)
        return RefusedError(error.status, error.reason, error.message, {"connection": "close"})


async def _worked(work: Callable[[], Result], is_long: bool) -> Result:
    """What is worked out: beside the loop, which others use, where it takes long."""
    return await asyncio.to_thread(work) if is_long else work()


@contextmanager
def _signature_refused() -> Iterator[None]:
    try:
        yield
    except SignatureError as error:
        raise RefusedError(
            401, f"signature {error.reason}", "The signature is missing or not right"
        ) from None
