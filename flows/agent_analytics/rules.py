"""Decisions about input: what a body says, which row of a report counts. Nothing is read here."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows._shared.json_keys import Again, each_once, keep_twice
from flows._shared.json_letters import whole_letters
from flows._shared.numbers import number, whole_number
from flows._shared.otlp_json import Unfit, sift
from flows._shared.otlp_spelling import misspelled, read_former_scopes, renamed
from flows._shared.placeholders import known_id
from flows.agent_analytics.records import (
    Canonical,
    Commit,
    CopilotDay,
    Signal,
    Unread,
    UnreadableTelemetryError,
)

ORGANIZATION = "__org__"
CODE_COMPLETION = "code_completion"
MAXIMUM_BODY_BYTES = 64 * 1024 * 1024
HASH_LENGTHS = (40, 64)
LARGEST_COUNT = 2_147_483_647
LARGEST_TOKENS = 10**12
LONGEST_EXCERPT = 600
LONGEST_SENDER = 100
# Among so many of the first attributes a sender is looked for, for each part that does not fit.
MOST_ATTRIBUTES = 200
# The attributes by which the loader knows whose telemetry it is, the first of them before others.
SENDER = (
    "developer_id", "x-developer-id", "user.email", "user.account_uuid", "user.account_id",
    "user.id", "enduser.id", "installation.id",
)  # fmt: skip
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
        try:
            message.ParseFromString(raw)
            read_former_scopes(message)
        except DecodeError as error:
            raise _unreadable(signal, f"it is not that protobuf message ({error})") from error
        return Canonical(_as_line(message, signal))
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
        content = _named(json.loads(whole_letters(line), object_pairs_hook=each_once))
    except (ValueError, RecursionError) as error:
        why = str(error).partition(" (")[0].partition(":")[0]
        raise _unreadable(signal, f"not JSON: {why}") from error
    if not isinstance(content, dict):
        raise _unreadable(signal, "not a JSON object")
    found = signal if signal and key_of(signal) in content else signal_of(content)
    if found is None:
        raise _unreadable(signal, _neither(content))
    if signal is not None and found is not signal:
        raise _unreadable(signal, f"it holds {found.value}, not {signal.value}")
    message = _empty(found)
    shape = f"not the shape of OTLP {found.value}"
    try:
        kept, unfit = sift(content, message.DESCRIPTOR)
        ParseDict(kept, message, ignore_unknown_fields=True)
        line_of_kept = _as_line(message, found)
    except (ParseError, RecursionError) as error:
        raise _unreadable(signal, f"{shape}: {str(error)[:120]}") from error
    unread = [Unread(f"{shape}: {each.reason}", _excerpt(each)) for each in unfit]
    for other in Signal:
        if other is not found and content.get(key_of(other)):
            part = json.dumps(content[key_of(other)], separators=(",", ":"))[:LONGEST_EXCERPT]
            unread.append(Unread(f"it holds {other.value} beside its {found.value}", part))
    return Canonical(line_of_kept, tuple(unread))


def _excerpt(unfit: Unfit) -> str:
    """The beginning of a part, behind who sent it."""
    told: dict[str, str] = {}
    for holder in (*unfit.holders, unfit.part):
        if isinstance(holder, Mapping):
            told |= _texts(holder.get("resource")) | _texts(holder)
    sender = next((told[name] for name in SENDER if told.get(name)), "unknown")
    part = json.dumps(unfit.part, separators=(",", ":"))[:LONGEST_EXCERPT]
    return f"from {sender[:LONGEST_SENDER]}: {part}"


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
    """An export of nothing is a request too, and says of which signal."""
    content = {key_of(signal): [], **MessageToDict(message)}
    return json.dumps(content, separators=(",", ":"))


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
        content = _named(json.loads(whole_letters(body), object_pairs_hook=each_once))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return [canonical_json(body)]
    found = [key_of(signal) for signal in Signal if key_of(signal) in content]
    if len(found) < 2:
        return [canonical_json(body)]
    return [canonical_json(json.dumps({key: content[key]}).encode()) for key in found]


def shown(path: Path) -> str:
    """A name of bytes that are no UTF-8 is none that a database takes."""
    return str(path).encode(errors="backslashreplace").decode()


def commit_rows(body: bytes) -> list[Any]:
    """The rows of a body sent to ``/v1/commits``: one, a list, or an object with ``commits``."""
    content = json.loads(body, object_pairs_hook=keep_twice)
    if isinstance(content, dict):
        is_doubled = any(isinstance(key, Again) for key in content)
        content = [content] if is_doubled else content.get("commits", [content])
    return content if isinstance(content, list) else [content]


def commit_of(row: Mapping[str, Any]) -> Commit:
    """A commit as the post-commit hook sends it. Raises ValueError or KeyError, saying why not."""
    commit_hash = str(row["commit_hash"]).strip().lower()
    is_hash = len(commit_hash) in HASH_LENGTHS and not set(commit_hash) - set("0123456789abcdef")
    if not is_hash or known_id(commit_hash) is None:
        raise ValueError("commit_hash is not a commit hash")
    return Commit(
        commit_hash=commit_hash,
        message=str(row.get("commit_message") or ""),
        author_name=str(row.get("author_name") or ""),
        author_email=str(row.get("author_email") or ""),
        committed_at=moment_of(row["commit_timestamp"]),
        files_changed=_count(row, "files_changed"),
        lines_added=_count(row, "lines_added"),
        lines_deleted=_count(row, "lines_deleted"),
        is_agent_assisted=row.get("agent_assisted") is True,
        agent_session_id=known_id(_text(row, "agent_session_id")),
        agent_type=agent_type_of(_text(row, "agent_type")),
        developer_id=known_id(_text(row, "developer_id")),
        project_id=_text(row, "project_id"),
    )


def moment_of(value: object) -> datetime:
    """UTC without an offset, from Unix seconds or ISO 8601 (without an offset: UTC)."""
    if isinstance(value, bool):
        raise ValueError("commit_timestamp is neither Unix seconds nor ISO 8601")
    try:
        if isinstance(value, int | float):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise ValueError("commit_timestamp is neither Unix seconds nor ISO 8601") from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment


def agent_type_of(name: str | None) -> str | None:
    """One name for each agent: the source writes GitHub Copilot in two ways."""
    return "github_copilot" if name == "copilot" else name


def copilot_day(row: Mapping[str, Any]) -> CopilotDay:
    """One user and day of the usage-metrics report: completions only.

    Edits by the agent are lines added that nobody was offered: with them more would be accepted
    than suggested. A report without the split by feature is taken whole.

    Raises:
        ValueError, KeyError: the row has no day or no user.
    """
    split = row.get("totals_by_feature")
    if isinstance(split, list):
        parts = [part for part in split if part.get("feature") == CODE_COMPLETION]
    else:
        parts = [dict(row)]
    languages: dict[str, int] = {}
    for part in row.get("totals_by_language_feature") or []:
        if part.get("feature") == CODE_COMPLETION:
            name = str(part.get("language") or "unknown")
            languages[name] = languages.get(name, 0) + _sum(
                [part], "code_generation_activity_count"
            )
    login = str(row["user_login"] or "").strip().lower()
    if not login:
        raise ValueError("user_login is empty")
    return CopilotDay(
        day=date.fromisoformat(str(row["day"])),
        developer_id=login,
        suggestions=_sum(parts, "code_generation_activity_count"),
        acceptances=_sum(parts, "code_acceptance_activity_count"),
        lines_suggested=_sum(parts, "loc_suggested_to_add_sum"),
        lines_accepted=_sum(parts, "loc_added_sum"),
        active_users=1,
        languages=languages,
        ai_credits=_credits(row),
        **_requests(row, "cli", "totals_by_cli"),
        **_requests(row, "app", "totals_by_copilot_app"),
    )


def _credits(row: Mapping[str, Any]) -> float | None:
    if row.get("ai_credits_used") is None:
        return None
    credits_used = number(row["ai_credits_used"])
    if not 0 <= credits_used <= LARGEST_COUNT:
        raise ValueError("ai_credits_used is not a number of credits")
    return credits_used


def _requests(row: Mapping[str, Any], name: str, totals: str) -> dict[str, int]:
    told = row.get(totals) or {}
    tokens = told.get("token_usage") or {}
    return {
        f"{name}_requests": _sum([told], "request_count"),
        f"{name}_prompt_tokens": _tokens(tokens, "prompt_tokens_sum"),
        f"{name}_output_tokens": _tokens(tokens, "output_tokens_sum"),
    }


def _tokens(told: Mapping[str, Any], name: str) -> int:
    """A developer's tokens of a day: more than what other counts may be."""
    tokens = whole_number(told.get(name) or 0)
    if not 0 <= tokens <= LARGEST_TOKENS:
        raise ValueError(f"{name} is not a count of tokens")
    return tokens


def legacy_copilot_day(row: Mapping[str, Any]) -> CopilotDay:
    """One day of the old organization-wide report, which knows no users."""
    completions = row.get("copilot_ide_code_completions") or {}
    parts: list[Mapping[str, Any]] = [
        language
        for editor in completions.get("editors") or []
        for model in editor.get("models") or []
        for language in model.get("languages") or []
    ]
    languages: dict[str, int] = {}
    for part in parts:
        name = str(part.get("name") or "unknown")
        languages[name] = languages.get(name, 0) + _sum([part], "total_code_suggestions")
    return CopilotDay(
        day=date.fromisoformat(str(row["date"])),
        developer_id=ORGANIZATION,
        suggestions=_sum(parts, "total_code_suggestions"),
        acceptances=_sum(parts, "total_code_acceptances"),
        lines_suggested=_sum(parts, "total_code_lines_suggested"),
        lines_accepted=_sum(parts, "total_code_lines_accepted"),
        active_users=_sum([row], "total_active_users"),
        languages=languages,
    )


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


def _text(row: Mapping[str, Any], name: str) -> str | None:
    return str(row[name]).strip() or None if row.get(name) is not None else None


def _count(row: Mapping[str, Any], name: str) -> int | None:
    if row.get(name) is None:
        return None
    count = whole_number(row[name])
    if not 0 <= count <= LARGEST_COUNT:
        raise ValueError(f"{name} is not a count")
    return count


def _sum(parts: Sequence[Mapping[str, Any]], name: str) -> int:
    counts = [whole_number(part.get(name) or 0) for part in parts]
    if any(not 0 <= count <= LARGEST_COUNT for count in counts):
        raise ValueError(f"{name} is not a count")
    return sum(counts)
