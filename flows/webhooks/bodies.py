"""Bodies: decompressed within bounds, checked, and looked into for what the event refers to."""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Literal
from urllib.parse import parse_qs

import orjson
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows._shared.events import Scalar
from flows._shared.inbox import FORM
from flows._shared.json_keys import (
    MOST_KEYS,
    doubled_place,
    has_each_once,
    keep_twice,
    shown_place,
    whole_or_infinite,
)
from flows._shared.json_letters import whole_letters
from flows._shared.json_numbers import is_writable
from flows._shared.otlp_spelling import read_former_scopes, snake
from flows._shared.weighed import has_more_fields, has_more_values
from flows.webhooks.settings import Endpoint
from flows.webhooks.sources import PROTOBUF
from flows.webhooks.telemetry import Partial, partial

GZIP_WINDOW = 31
# Programs that add to a gzip file write a member each time; none that exports writes many.
MOST_MEMBERS = 1000
PIECE_BYTES = 64 * 1024
# Deeper than any sender's documents, shallower than what Python's own parser can read. Of OTLP, and
# of rows, what is nested deeper than the first costs its record alone, and is left to its loader.
DEEPEST = 100
DEEPEST_OF_PARTS = 400
# Each is an object in memory many times as long as its text. These are what a collector's largest
# batch has, 8,192 records of 30 attributes, and a fifth more.
MOST_VALUES = 1_200_000
NESTING = (dict, list)
LONGEST_ATTRIBUTE = 1024
# PostgreSQL takes a second to make jsonb of ten times as much, for which other deliveries wait.
LONGEST_PAYLOAD = 1024**2
MOST_FORM_FIELDS = 16
SPACE_BEFORE_COLON = re.compile(rb'"[ \t\r\n]+:')
NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
OTLP_LISTS = {
    "otlp-metrics": ("resourceMetrics",),
    "otlp-logs": ("resourceLogs",),
    "otlp-traces": ("resourceSpans",),
    "otlp": ("resourceMetrics", "resourceLogs"),
}
OTLP_MESSAGES: Mapping[str, type[Message]] = {
    "otlp-metrics": ExportMetricsServiceRequest,
    "otlp-logs": ExportLogsServiceRequest,
    "otlp-traces": ExportTraceServiceRequest,
}


class BodyError(Exception):
    """The body cannot be taken.

    Args:
        status: for the answer.
        reason: one of a few words, fit for a metric.
        message: for the sender; of the body it holds names of keys at most.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Content:
    """The JSON text without NUL, and what its event refers to, if one goes.

    The text is None for protobuf and for long bodies, and where PostgreSQL would drop the first
    value of a key, or could not write out the numbers.
    Of OTLP also what the answer has to say of a part of it.
    """

    payload: str | None
    attributes: Mapping[str, Scalar]
    is_silent: bool = False
    partial: Partial | None = None


def too_long(limit: int) -> BodyError:
    return BodyError(413, "too long", f"The body is longer than {limit} bytes")


def _too_many(what: Literal["values", "keys"]) -> BodyError:
    most = MOST_VALUES if what == "values" else MOST_KEYS
    seen = f"The body has more than {most:,} {what}: send smaller batches"
    return BodyError(413, f"too many {what}", seen)


def decompress(body: bytes, limit: int) -> bytes:
    """The content of gzip, one member or several, of at most ``limit`` bytes.

    The work is bounded, too: by the number of members, each of which costs a start of its own.

    Raises:
        BodyError: it is longer, is cut short, has too many members, or is no gzip.
    """
    rest = memoryview(body)
    pieces: list[bytes] = []
    left = limit + 1
    for _ in range(MOST_MEMBERS):
        stream = zlib.decompressobj(GZIP_WINDOW)
        while not stream.eof:
            if not rest:
                raise BodyError(400, "bad gzip", "The gzip body is cut short")
            # What a member leaves over is copied: of a piece, not of all that follows.
            piece, rest = rest[:PIECE_BYTES], rest[PIECE_BYTES:]
            try:
                pieces.append(stream.decompress(piece, left))
            except zlib.error:
                raise BodyError(400, "bad gzip", "The body is not gzip") from None
            left -= len(pieces[-1])
            if left <= 0:
                raise too_long(limit)
        rest = memoryview(body)[len(body) - len(rest) - len(stream.unused_data) :]
        if not rest:
            return b"".join(pieces)
    raise BodyError(400, "bad gzip", f"The gzip body has more than {MOST_MEMBERS} members")


def examine(
    endpoint: Endpoint, silent_where: Mapping[str, str], content_type: str, body: bytes
) -> Content:
    """Check that a body is what the endpoint takes.

    Args:
        silent_where: JSON pointers, and patterns of the texts there that start nothing.

    Raises:
        BodyError: with the status that tells the sender what is wrong.
    """
    if content_type == PROTOBUF:
        kind = OTLP_MESSAGES[endpoint.protocol]
        if has_more_fields(body, kind.DESCRIPTOR, MOST_VALUES):
            raise _too_many("values")
        try:
            message = kind.FromString(body)
            read_former_scopes(message)
        except DecodeError:
            raise BodyError(400, "bad protobuf", "The body is not the protobuf message") from None
        return Content(None, {}, partial=partial(endpoint.protocol, message))
    text = whole_letters(_form_payload(body) if content_type == FORM else body)
    is_webhook = endpoint.protocol == "webhook"
    has_parts = endpoint.holds_rows or not is_webhook
    document, is_plain = _document(text, is_telemetry=not is_webhook)
    if is_plain and _is_plain_and_small(text):
        # Of a key that is there twice the first is gone, and the quotes around it.
        may_double = text.count(b'"') != orjson.dumps(document).count(b'"')
    else:
        may_double = _nested(document, text, DEEPEST_OF_PARTS if has_parts else DEEPEST)
    is_doubled = may_double and not has_each_once(text)
    if is_doubled:
        _refuse_doubled(text, in_lists=not has_parts)
    for name in OTLP_LISTS.get(endpoint.protocol, ()):
        if not isinstance(document, dict) or not all(
            isinstance(document.get(spelled, []), list) for spelled in (name, snake(name))
        ):
            raise BodyError(400, "bad OTLP", f"The body is no OTLP request with a list `{name}`")
    for pointer, pattern in endpoint.requires.items():
        if not _matches(document, pointer, pattern):
            raise BodyError(400, "field", f"{pointer} is missing or does not match {pattern}")
    attributes = {
        name: _thin(value)
        for name, pointer in endpoint.attributes.items()
        if (value := at(document, pointer)) is not None
    }
    has_nul = b"\\" in text and b"\\u0000" in text
    safe = NUL_ESCAPE.sub(rb"\1\\ufffd", text) if has_nul else text
    is_lossless = is_plain and not is_doubled and (not has_nul or has_each_once(safe))
    is_silent = any(_matches(document, *each) for each in silent_where.items())
    if is_doubled and not is_webhook:
        # Not both at a time.
        document = None
        document = _as_loaded(text)
    told = None if is_webhook else partial(endpoint.protocol, document, may_double=is_doubled)
    payload = safe.decode() if is_lossless and len(safe) <= LONGEST_PAYLOAD else None
    if payload and not is_writable(payload):
        payload = None
    return Content(payload, attributes, is_silent, told)


def _form_payload(body: bytes) -> bytes:
    try:
        fields = parse_qs(
            body.decode(),
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_FORM_FIELDS,
        )
        (payload,) = fields["payload"]
    except (ValueError, KeyError):
        raise BodyError(400, "bad form", "The form has no single field `payload`") from None
    return payload.encode()


def _as_loaded(text: bytes) -> Any:
    """What the loader of telemetry finds in a text: numbers that are none, keys told twice."""
    return json.loads(text.decode(), object_pairs_hook=keep_twice, parse_int=whole_or_infinite)


def _document(text: bytes, *, is_telemetry: bool) -> tuple[Any, bool]:
    """What the text says, and whether every reader of JSON finds the same.

    Of telemetry a number that is none costs its record alone.
    """
    if has_more_values(text, MOST_VALUES):
        raise _too_many("values")
    try:
        document, is_plain = orjson.loads(text), True
    except orjson.JSONDecodeError as error:
        try:
            document, is_plain = _as_loaded(text) if is_telemetry else None, False
        except (ValueError, RecursionError):
            document = None
        if document is None:
            # The library's message may quote the body.
            place = f"line {error.lineno} column {error.colno}"
            raise BodyError(400, "bad JSON", f"The body is not valid JSON: {place}") from None
    if not isinstance(document, dict | list):
        raise BodyError(400, "bad JSON", "The JSON is neither an object nor an array")
    return document, is_plain


def _is_plain_and_small(text: bytes) -> bool:
    """Whether so few brackets are opened that none can be nested too deep, and no quote is spelled
    by its number, nor many keys: then the walk can be spared, which costs ten times as much."""
    return (
        (b"\\" not in text or b"\\u0022" not in text)
        and text.count(b"[") + text.count(b"{") <= DEEPEST
        and text.count(b":") <= MOST_KEYS
    )


def _nested(document: Any, text: bytes, deepest: int) -> bool:
    """Whether a key may stand in an object of the document twice.

    Raises:
        BodyError: it is nested deeper, or has too many different keys.
    """
    level: list[Any] = [document]
    keys = 0
    names: set[str] = set()
    for _ in range(deepest):
        objects = [each for each in level if isinstance(each, dict)]
        keys += sum(map(len, objects))
        if keys > MOST_KEYS and len(names := names.union(*objects)) > MOST_KEYS:
            raise _too_many("keys")
        within = chain.from_iterable(
            each.values() if isinstance(each, dict) else each for each in level
        )
        level = [child for child in within if isinstance(child, NESTING)]
        if not level:
            # Behind every key stands a colon: as many as there are keys, and each is there once.
            return text.count(b'":') != keys or SPACE_BEFORE_COLON.search(text) is not None
    raise BodyError(400, "too deep", f"The JSON is nested more than {deepest} levels deep")


def _refuse_doubled(text: bytes, *, in_lists: bool) -> None:
    """Readers differ on which of two values counts: the receiver decides by none of them.

    In a list it costs the row, or the record, that it stands in, as its loader finds.
    """
    place = doubled_place(text, in_lists=in_lists)
    if place is not None:
        raise BodyError(400, "key twice", f"An object of the JSON has {shown_place(place)} twice")


def at(document: Any, pointer: str) -> Any:
    """What a JSON pointer leads to, None if it leads nowhere."""
    for name in _steps(pointer):
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


@cache
def _steps(pointer: str) -> tuple[str, ...]:
    """The names and places that a JSON pointer of a setting leads through."""
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _matches(document: Any, pointer: str, pattern: str) -> bool:
    found = at(document, pointer)
    return isinstance(found, str) and re.fullmatch(pattern, found) is not None


def _thin(value: Any) -> Scalar:
    """A reference as it may stand in an event: no structures, no long texts, no NUL."""
    if isinstance(value, str):
        return value[:LONGEST_ATTRIBUTE].replace("\0", "\ufffd")
    return value if isinstance(value, bool | int | float) else None
