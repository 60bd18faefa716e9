"""What of an OTLP request the loader will put aside, told to its sender in the answer.

The rules are those of the loader of ``agent_analytics``, which has the last word: here they only
say early what it will find, and nothing is left out of what is stored.
"""

import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flows._shared.counted import counted
from flows._shared.numbers import NUMBER, number, whole_number
from flows._shared.otlp_json import Unfit, sift
from flows._shared.otlp_spelling import renamed, respelled

# Of longer requests the first so many parts are looked at: resources, scopes, metrics, points.
MOST_LOOKED_AT = 20_000
EARLIEST_NANOS = 1_577_836_800 * 10**9
LATEST_SECONDS = 86_400
LARGEST_COUNTER = 1e11
LARGEST_REQUEST = 1e10
USAGE = re.compile(
    r"[._]token[._]usage$|\.cost\.usage$|\.tokens\.|^gen_ai\.client\.inference\.(usage|operation)\."
)
COUNTED = re.compile(
    r"\.(token|cost)\.usage$|\.tokens\.|^codex\.turn\.token_usage$"
    r"|^gen_ai\.client\.inference\.(usage|operation)\."
)
ABOUT_USAGE = re.compile("token|cost")
TOKENS = frozenset(
    (
        "input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens",
        "cache_creation_tokens", "input_token_count", "output_token_count", "cached_token_count",
        "cached_content_token_count", "reasoning_token_count", "thoughts_token_count",
        "tool_token_count", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.reasoning.output_tokens",
    )
)  # fmt: skip
NO_NUMBERS = ("bool_value", "array_value", "kvlist_value", "bytes_value")
MESSAGES: Mapping[str, tuple[type[Message], ...]] = {
    "otlp-metrics": (ExportMetricsServiceRequest,),
    "otlp-logs": (ExportLogsServiceRequest,),
    "otlp": (ExportMetricsServiceRequest, ExportLogsServiceRequest),
}
LEAVES = {
    "otlp-metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "otlp-logs": ("resource_logs", "scope_logs", "log_records"),
}
KINDS = ("sum", "gauge", "histogram", "exponential_histogram", "summary")
DELTA = (1, "1", "AGGREGATION_TEMPORALITY_DELTA")
CUMULATIVE = (2, "2", "AGGREGATION_TEMPORALITY_CUMULATIVE")
OTHER_SIGNAL = "a signal that goes to another address"
UNCLOCKED = "a time before 2020 or more than a day ahead"
NOT_KEPT = "Traces are not kept here: send metrics and logs"


@dataclass(frozen=True)
class Partial:
    """What a partial success says: how many were rejected, and why; or, with none, a warning."""

    rejected: int
    message: str


@dataclass
class _Looks:
    """How many more parts are looked at."""

    left: float = math.inf

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True)
class _Point:
    metric: str
    kind: str
    nanos: int
    value: float | None
    has_temporality: bool
    is_delta: bool
    is_empty: bool


def partial(
    protocol: str, request: Message | Mapping[str, Any], *, may_double: bool = False
) -> Partial | None:
    """None where all will be taken. ``request`` is the message, or OTLP's JSON.

    Args:
        may_double: whether an object may have a key twice, as ``json_keys.keep_twice`` reads it.
    """
    reasons: Counter[str] = Counter()
    latest = (time.time_ns() // 10**9 + LATEST_SECONDS) * 10**9
    if not isinstance(request, Message):
        request = _named(request)
    if protocol == "otlp-traces":
        names = ("resource_spans", "scope_spans", "spans")
        spans = sum(1 for _ in _leaves(request, _Looks(), *names))
        return Partial(spans, NOT_KEPT) if spans else None
    unknown: set[str] = set()
    looks = _Looks(MOST_LOOKED_AT)
    if not isinstance(request, Message):
        for other, names in LEAVES.items():
            if protocol in LEAVES and other != protocol:
                reasons[OTHER_SIGNAL] += sum(1 for _ in _leaves(request, _Looks(), *names))
        request, unfit = _sifted(protocol, request, may_double)
        for each in unfit:
            reasons[each.reason] += each.leaves
            looks.left -= each.leaves if each.is_rest else 1
    for point in _points(request, looks):
        if reason := _of_point(point, latest):
            reasons[reason] += 1
        elif ABOUT_USAGE.search(point.metric) and not COUNTED.search(point.metric):
            unknown.add(point.metric)
    for record in _leaves(request, looks, *LEAVES["otlp-logs"]):
        if reason := _of_record(record, latest):
            reasons[reason] += 1
    if reasons.total():
        listed = "; ".join(
            f"{count} with {reason}" for reason, count in reasons.most_common() if count
        )
        at_least = "" if looks.left >= 0 else f" of the first {MOST_LOOKED_AT:,}, at least"
        return Partial(reasons.total(), f"Put aside{at_least}: {listed}")
    if unknown:
        seem = counted(len(unknown), "metric seems", "metrics seem")
        return Partial(0, f"{seem} to tell of usage without being counted")
    return None


def _named(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The lists of a request by their names of now, and all that is in those of traces."""
    for message in (ExportMetricsServiceRequest, ExportLogsServiceRequest):
        request = renamed(request, message.DESCRIPTOR)
    spelled: Mapping[str, Any] = respelled(request, ExportTraceServiceRequest.DESCRIPTOR)
    return spelled


def _sifted(
    protocol: str, request: Mapping[str, Any], may_double: bool
) -> tuple[dict[str, Any], list[Unfit]]:
    """What the loader will read of OTLP's JSON, and what of it is no OTLP."""
    kept: dict[str, Any] = {}
    unfit: list[Unfit] = []
    for message in MESSAGES.get(protocol, ()):
        own, aside = sift(request, message.DESCRIPTOR, MOST_LOOKED_AT, may_double=may_double)
        kept |= own
        unfit += aside
    return kept, unfit


def _of_point(point: _Point, latest: int) -> str | None:
    if point.nanos and not EARLIEST_NANOS <= point.nanos <= latest:
        return UNCLOCKED
    if point.kind == "summary":
        return "a metric of a kind that is not read (summary)"
    is_usage = USAGE.search(point.metric) is not None
    largest = LARGEST_REQUEST if point.is_delta else LARGEST_COUNTER
    if is_usage and point.value is not None and not 0 <= point.value <= largest:
        return "a count or cost below zero or larger than any session reaches"
    if is_usage and "cost" not in point.metric and point.value is not None and point.value % 1:
        return "a count of tokens that is no whole number"
    if is_usage and point.kind == "gauge":
        return "a gauge of tokens or cost"
    if point.is_empty:
        return "a histogram without observations"
    if not point.metric:
        return "a metric without a name"
    if not point.nanos:
        return "no time"
    if point.value is None or not math.isfinite(point.value):
        return "no number"
    if not point.has_temporality and point.kind != "gauge":
        return "neither delta nor cumulative temporality"
    return None


def _of_record(record: Any, latest: int) -> str | None:
    nanos = _nanos(_get(record, "time_unix_nano")) or _nanos(
        _get(record, "observed_time_unix_nano")
    )
    if not nanos:
        return "no time"
    if not EARLIEST_NANOS <= nanos <= latest:
        return UNCLOCKED
    for pair in _items(_get(record, "attributes")):
        key = _get(pair, "key")
        if not isinstance(key, str) or not (key in TOKENS or key == "cost_usd"):
            continue
        value = _scalar(_get(pair, "value"))
        if value is None or not (text := value.strip(" ")):
            continue
        told = float(text) if NUMBER.fullmatch(text) else math.nan
        if not 0 <= told <= LARGEST_REQUEST or (key != "cost_usd" and told % 1):
            return "a count or cost that no request has"
    return None


def _points(request: Any, looks: _Looks) -> Iterator[_Point]:
    for metric in _leaves(request, looks, *LEAVES["otlp-metrics"]):
        name = _get(metric, "name")
        for kind in KINDS:
            content = _get(metric, kind)
            if content is None:
                continue
            temporality = _get(content, "aggregation_temporality")
            for point in _items(_get(content, "data_points")):
                if not looks.take():
                    return
                if not _number(_get(point, "flags") or 0) % 2:
                    yield _point(name if isinstance(name, str) else "", kind, temporality, point)


def _point(name: str, kind: str, temporality: Any, point: Any) -> _Point:
    if kind in ("sum", "gauge"):
        given = _get(point, "as_double")
        value = _number(_get(point, "as_int") if given is None else given)
        is_empty = False
    else:
        value = _number(_get(point, "sum"))
        is_empty = math.isnan(value) and not _nanos(_get(point, "count"))
    return _Point(
        name,
        kind,
        _nanos(_get(point, "time_unix_nano")),
        None if math.isnan(value) else value,
        temporality in DELTA or temporality in CUMULATIVE,
        temporality in DELTA,
        is_empty,
    )


def _leaves(request: Any, looks: _Looks, resources: str, scopes: str, leaves: str) -> Iterator[Any]:
    for resource in _items(_get(request, resources)):
        for scope in _items(_get(resource, scopes)):
            for leaf in _items(_get(scope, leaves)):
                if not looks.take():
                    return
                yield leaf
            if not looks.take():
                return
        if not looks.take():
            return


def _get(holder: Any, name: str) -> Any:
    """A field by its name in the message; None where it is not set, or is nothing like it."""
    if isinstance(holder, Message):
        field = _field(holder.DESCRIPTOR, name)
        if field is None or (field.has_presence and not holder.HasField(field.name)):
            return None
        return getattr(holder, field.name)
    return holder.get(_camel(name)) if isinstance(holder, Mapping) else None


@cache
def _field(message: Descriptor, name: str) -> FieldDescriptor | None:
    return message.fields_by_name.get(name)


@cache
def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def _items(found: Any) -> Any:
    is_list = hasattr(found, "__getitem__") and not isinstance(found, str | bytes | Mapping)
    return found if is_list else ()


def _nanos(found: Any) -> int:
    try:
        return whole_number(found or 0)
    except ValueError:
        return 0


def _number(found: Any) -> float:
    try:
        return number(found)
    except ValueError:
        return math.nan


def _scalar(value: Any) -> str | None:
    for name in ("string_value", "int_value", "double_value"):
        found = _get(value, name)
        if found is not None:
            return str(found)
    is_other = any(_get(value, name) is not None for name in NO_NUMBERS)
    return "no number" if is_other else None
