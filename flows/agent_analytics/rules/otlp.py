"""Decisions about telemetry: what a body says, as the lines that are loaded."""

import gzip
import json
import zlib
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows._shared.json_keys import (
    Again,
    DoubledKeyError,
    ManyKeysError,
    each_once,
    few,
    keep_twice,
    whole_or_infinite,
)
from flows._shared.json_letters import whole_letters
from flows._shared.otlp_json import DEEPEST, Unfit, sift
from flows._shared.otlp_spelling import misspelled, read_former_scopes, renamed
from flows._shared.weighed import has_more_fields, has_more_values
from flows.agent_analytics.records import Canonical, Signal, Unread, UnreadableTelemetryError
from flows.agent_analytics.rules.rows import MOST_VALUES, too_many_values

MAXIMUM_BODY_BYTES = 64 * 1024 * 1024
LONGEST_EXCERPT = 600
LONGEST_SENDER = 100
# Among so many of the first attributes a sender is looked for, for each part that does not fit.
MOST_ATTRIBUTES = 200
# The attributes by which the loader knows whose telemetry it is, the first of them before others.
SENDER = (
    "developer_id", "x-developer-id", "user.email", "user.account_uuid", "user.account_id",
    "user.id", "enduser.id", "installation.id",
)  # fmt: skip
WITHIN: Mapping[Signal, tuple[str, str]] = {
    Signal.METRICS: ("scopeMetrics", "metrics"),
    Signal.LOGS: ("scopeLogs", "logRecords"),
}
COMPACT = json.JSONEncoder(separators=(",", ":"))
# Lists and maps within each other, of which each is several of the levels that are followed.
FEWEST_DEEP = DEEPEST // 5
OTLP_MESSAGES: Mapping[Signal, type[Message]] = {
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def canonical_line(
    body: bytes, signal: Signal, content_type: str, content_encoding: str = ""
) -> Canonical:
    """One OTLP/HTTP export request as a line of OTLP JSON.

    Args:
        content_type: ``application/x-protobuf`` or ``application/json``; parameters are ignored.
        content_encoding: ``gzip``, or empty or ``identity``.

    Raises:
        UnreadableTelemetryError: another encoding, or not such a request.
    """
    raw = _inflated(body, content_encoding)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-protobuf":
        message = _empty(signal)
        if has_more_fields(raw, message.DESCRIPTOR, MOST_VALUES):
            raise too_many_values(f"Reading OTLP {signal.value}")
        try:
            message.ParseFromString(raw)
            read_former_scopes(message)
        except DecodeError as error:
            raise _unreadable(signal, f"it is not that protobuf message ({error})") from error
        line = _as_line(message, signal)
        # Protobuf may nest lists and maps deeper than is read, and only so many of them are deep.
        is_shallow = line.count('"arrayValue"') + line.count('"kvlistValue"') < FEWEST_DEEP
        return Canonical(line) if is_shallow else canonical_json(line.encode(), signal)
    if kind == "application/json":
        return canonical_json(raw, signal)
    raise _unreadable(signal, f"its content type is {kind or 'missing'}")


def canonical_json(line: bytes, signal: Signal | None = None) -> Canonical:
    """An OTLP/JSON export request, in the spelling that every sender's then has.

    What does not fit into the messages of OTLP is left out, a record or data point at a time.

    Args:
        signal: what it has to be; None takes either.

    Raises:
        UnreadableTelemetryError: it is none, or of the other signal.
    """
    try:
        content, has_doubles = _read(line)
    except (ValueError, RecursionError) as error:
        why = str(error).partition(" (")[0].partition(":")[0]
        raise _unreadable(signal, f"not JSON: {why}") from error
    if not isinstance(content, dict):
        raise _unreadable(signal, "not a JSON object")
    return _canonical(content, has_doubles, signal)


def _read(text: bytes) -> tuple[Any, bool]:
    """A request by the names of now, and whether an object within it may have a key twice.

    Raises:
        ValueError, RecursionError: it is no JSON that can be read, or has a key of its own twice.
        UnreadableTelemetryError: it has too many values.
    """
    if has_more_values(text, MOST_VALUES):
        raise too_many_values("Reading OTLP JSON")
    letters = whole_letters(text)
    try:
        content = json.loads(letters, object_pairs_hook=few(each_once), parse_int=whole_or_infinite)
    except ManyKeysError as error:
        raise UnreadableTelemetryError(
            "Reading OTLP JSON", str(error), "Check what wrote it"
        ) from error
    except DoubledKeyError:
        content = json.loads(
            letters, object_pairs_hook=few(keep_twice), parse_int=whole_or_infinite
        )
        if any(isinstance(name, Again) for name in content):
            raise
        return _named(content), True
    return _named(content), False


def _canonical(content: dict[str, Any], has_doubles: bool, signal: Signal | None) -> Canonical:
    found = signal if signal and key_of(signal) in content else signal_of(content)
    if found is None:
        raise _unreadable(signal, _neither(content))
    if signal is not None and found is not signal:
        raise _unreadable(signal, f"it holds {found.value}, not {signal.value}")
    message = _empty(found)
    shape = f"not the shape of OTLP {found.value}"
    try:
        kept, unfit = sift(content, message.DESCRIPTOR, may_double=has_doubles)
        ParseDict(kept, message, ignore_unknown_fields=True)
        line_of_kept = _as_line(message, found)
    except (ParseError, RecursionError) as error:
        raise _unreadable(signal, f"{shape}: {str(error)[:120]}") from error
    unread = [
        Unread(
            f"{shape}: {each.reason}",
            f"and {each.leaves:,} more" if each.is_rest else _excerpt(each),
        )
        for each in unfit
    ]
    for other in Signal:
        if other is not found and content.get(key_of(other)):
            part = _beginning(content[key_of(other)])
            unread.append(Unread(f"it holds {other.value} beside its {found.value}", part))
    return Canonical(line_of_kept, tuple(unread))


def _excerpt(unfit: Unfit) -> str:
    """The beginning of a part, behind who sent it."""
    told: dict[str, str] = {}
    for holder in (*unfit.holders, unfit.part):
        if isinstance(holder, Mapping):
            told |= _texts(holder.get("resource")) | _texts(holder)
    sender = next((told[name] for name in SENDER if told.get(name)), "unknown")
    return f"from {sender[:LONGEST_SENDER]}: {_beginning(unfit.part)}"


def _beginning(part: Any) -> str:
    """Of its JSON, of which no more is written than is told."""
    written = ""
    for piece in COMPACT.iterencode(part):
        written += piece
        if len(written) >= LONGEST_EXCERPT:
            break
    return written[:LONGEST_EXCERPT]


def _texts(holder: object) -> dict[str, str]:
    """The attributes of an object that are texts, as far as they can be read."""
    pairs = holder.get("attributes") if isinstance(holder, Mapping) else None
    texts: dict[str, str] = {}
    for pair in pairs[:MOST_ATTRIBUTES] if isinstance(pairs, list) else ():
        value = pair.get("value") if isinstance(pair, Mapping) else None
        text = value.get("stringValue") if isinstance(value, Mapping) else None
        if isinstance(text, str) and isinstance(pair.get("key"), str):
            texts.setdefault(pair["key"], text.strip())
    return texts


def _named(content: Any) -> Any:
    """A request with its lists by their names of now."""
    if isinstance(content, Mapping):
        for message in OTLP_MESSAGES.values():
            content = renamed(content, message.DESCRIPTOR)
    return content


def _neither(content: Mapping[str, Any]) -> str:
    for message in OTLP_MESSAGES.values():
        if name := misspelled(content, message.DESCRIPTOR):
            return f"`{name}` in other letters"
    return "neither resourceMetrics nor resourceLogs"


def _as_line(message: Message, signal: Signal) -> str:
    """Without resources and scopes of nothing, of which DuckDB needs memory for each.

    An export of nothing is a request too, and says of which signal.
    """
    resources, (scopes, leaves) = MessageToDict(message).get(key_of(signal), []), WITHIN[signal]
    for resource in resources:
        resource[scopes] = [scope for scope in resource.get(scopes, ()) if scope.get(leaves)]
    return COMPACT.encode({key_of(signal): [each for each in resources if each[scopes]]})


def key_of(signal: Signal) -> str:
    return f"resource{signal.value.title()}"


def signal_of(content: Mapping[str, object]) -> Signal | None:
    return next((signal for signal in Signal if key_of(signal) in content), None)


def otel_lines(body: bytes) -> list[Canonical]:
    """The metrics, the logs, or both, of a body sent to ``/v1/otel``, or of a line, one for each.

    Raises:
        UnreadableTelemetryError: it holds neither, or not in the shape of OTLP.
    """
    try:
        content, has_doubles = _read(body)
    except (ValueError, RecursionError):
        return [canonical_json(body)]
    if not isinstance(content, dict):
        return [canonical_json(body)]
    found = [key_of(signal) for signal in Signal if key_of(signal) in content]
    parts = [{key: content[key]} for key in found] if len(found) > 1 else [content]
    return [_canonical(each, has_doubles, None) for each in parts]


def _inflated(body: bytes, content_encoding: str) -> bytes:
    match content_encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            pass
        case other:
            raise UnreadableTelemetryError(
                "Reading an OTLP body", f"its encoding is {other}", "Send it as gzip or plain"
            )
    inflater = zlib.decompressobj(wbits=31)
    try:
        raw = inflater.decompress(body, MAXIMUM_BODY_BYTES)
        if inflater.unconsumed_tail:
            raise UnreadableTelemetryError(
                "Inflating an OTLP body",
                f"it is larger than {MAXIMUM_BODY_BYTES:,} bytes",
                "Send smaller batches",
            )
        if not inflater.eof or inflater.unused_data:
            # Members after the first, or an end that is missing: the library knows both.
            raw = gzip.decompress(body)
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise UnreadableTelemetryError(
            "Inflating an OTLP body", f"it is not gzip ({error})", "Check the exporter"
        ) from error
    return raw


def _empty(signal: Signal) -> Message:
    return OTLP_MESSAGES[signal]()


def _unreadable(signal: Signal | None, seen: str) -> UnreadableTelemetryError:
    return UnreadableTelemetryError(
        f"Reading OTLP {signal.value if signal else 'JSON'}",
        seen,
        "Send OTLP/HTTP as application/x-protobuf or application/json",
    )
