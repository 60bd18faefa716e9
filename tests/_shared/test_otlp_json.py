"""What does not fit is found where a reader of protobuf's JSON would refuse the whole request."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict, ParseError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows._shared.numbers import NUMBER, number, whole_number
from flows._shared.otlp_json import sift
from flows._shared.otlp_plain import is_plain

NUMBERS = (
    "intValue", "doubleValue", "boolValue", "bytesValue", "stringValue", "arrayValue",
)  # fmt: skip
RECORD = (
    "timeUnixNano", "severityNumber", "severityText", "flags", "traceId", "droppedAttributesCount",
    "eventName", "body", "attributes", "[a.b]", "unknown",
)  # fmt: skip
POINT = ("asInt", "asDouble", "timeUnixNano", "flags", "exemplars", "as_int")
SUM = ("isMonotonic", "aggregationTemporality")
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**66), 2**66),
    st.sampled_from([2**63, 2**64, -1, -(2**63), 2**31, 2**32, 10**400]),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(
        [
            "1", "-5", " 5", "1e3", "1.5", "NaN", "nan", "Infinity", "inf", "true", "zz!", "abc=",
            "99999999999999999999", "2026-01-01T00:00:00Z", "\ud800",
            "AGGREGATION_TEMPORALITY_DELTA",
            "SEVERITY_NUMBER_INFO", "1_0",
        ]
    ),
    st.sampled_from([[], {}, [1], [None], {"values": [1]}, {"values": [None]}, {"values": [{}]}]),
)  # fmt: skip

# The library takes a text for an empty message, and of a name's number the lowest 32 bits.
STRICTER = ("no object", "no number or name")


def is_taken(content: dict[str, Any], message: Any) -> bool:
    try:
        ParseDict(content, message, ignore_unknown_fields=True)
    except (ParseError, OverflowError, SystemError):
        return False
    return True


def texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict | list):
        for each in part.values() if isinstance(part, dict) else part:
            yield from texts(each)


def is_lenient(text: str) -> bool:
    """Whether Python takes it for a number, which the library leaves to it, and nobody else."""
    try:
        float(text)
    except ValueError:
        return False
    return NUMBER.fullmatch(text) is None


def fields(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=2)


def metrics(point: dict[str, Any], total: dict[str, Any], **other: Any) -> dict[str, Any]:
    metric = {"name": "m", "sum": {**total, "dataPoints": [point, {"asInt": "1"}]}, **other}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def logs(record: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, {"timeUnixNano": "1"}]}]}]}


def check(content: dict[str, Any], make: Any) -> None:
    kept, unfit = sift(content, make.DESCRIPTOR)
    assert is_taken(kept, make()), "what is kept is taken"
    if is_taken(content, make()):
        assert all(
            each.reason.endswith(STRICTER) or any(map(is_lenient, texts(each.part)))
            for each in unfit
        ), "and else nothing is left out"


@settings(deadline=None)
@given(fields(NUMBERS), fields(RECORD), fields(POINT), fields(SUM))
def test_what_is_kept_is_taken_and_nothing_else_is_left_out(
    value: dict[str, Any], record: dict[str, Any], point: dict[str, Any], total: dict[str, Any]
) -> None:
    attribute = {"key": "x", "value": value}
    check(logs({"attributes": [attribute], **record}), ExportLogsServiceRequest)
    check(metrics({"attributes": [attribute], **point}, total), ExportMetricsServiceRequest)


VALUES_OF_ATTRIBUTES: list[Any] = [
    {"stringValue": "x"}, {"intValue": "12"}, {"intValue": -12}, {"doubleValue": 0.5},
    {"doubleValue": 3}, {"boolValue": True}, {}, {"arrayValue": {"values": [{"stringValue": "y"}]}},
    {"kvlistValue": {"values": [{"key": "z", "value": {"intValue": "1"}}]}},
]  # fmt: skip


def test_what_exporters_write_is_found_at_once_to_fit() -> None:
    attributes = [{"key": "x", "value": value} for value in VALUES_OF_ATTRIBUTES]
    record = {
        "timeUnixNano": "1764384300000000000", "severityNumber": 9, "severityText": "INFO",
        "body": {"stringValue": "x"}, "attributes": attributes, "flags": 1,
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
    }  # fmt: skip
    assert is_plain(logs(record), ExportLogsServiceRequest.DESCRIPTOR)
    point = {
        "attributes": attributes, "startTimeUnixNano": "1", "timeUnixNano": 2, "asDouble": 1.5,
    }  # fmt: skip
    for temporality in (1, "AGGREGATION_TEMPORALITY_CUMULATIVE"):
        total = {"aggregationTemporality": temporality, "isMonotonic": True}
        resource = {"attributes": attributes, "droppedAttributesCount": 0}
        content = metrics(point, total, description="x", unit="1")
        content["resourceMetrics"][0] |= {"resource": resource, "schemaUrl": "https://x"}
        assert is_plain(content, ExportMetricsServiceRequest.DESCRIPTOR)
    for bad in BAD_RECORDS:
        assert not is_plain(logs(bad), ExportLogsServiceRequest.DESCRIPTOR), bad


BAD_VALUES: list[Any] = [
    {"intValue": "abc"}, {"intValue": True}, {"intValue": "1.5"}, {"doubleValue": "abc"},
    {"boolValue": "true"}, {"bytesValue": {}}, {"intValue": "1", "stringValue": "1"}, "1",
]  # fmt: skip
BAD_RECORDS: list[dict[str, Any]] = [
    *({"attributes": [{"key": "x", "value": value}]} for value in BAD_VALUES),
    {"traceId": "zz!"}, {"flags": -1}, {"timeUnixNano": "-5"},
    {"timeUnixNano": "2026-03-02T00:00:00Z"}, {"attributes": {"a": 1}}, {"body": "text"},
]  # fmt: skip


PYTHONS_OWN = (
    "1_000",
    " 5 ",
    "5\n",
    "\u0665",
    "\uff11",
    "0x10",
    "1_0.5",
    "",
    "-",
    "1e",
    "infinity",
)


@pytest.mark.parametrize("text", PYTHONS_OWN)
def test_what_python_alone_takes_for_a_number_is_none(text: str) -> None:
    for read in (whole_number, number):
        with pytest.raises(ValueError, match="number"):
            read(text)
    for value in ({"intValue": text}, {"doubleValue": text}):
        bad = logs({"attributes": [{"key": "x", "value": value}]})
        assert len(sift(bad, ExportLogsServiceRequest.DESCRIPTOR)[1]) == 1


def test_numbers_are_read_as_they_are_written() -> None:
    assert [whole_number(each) for each in (5, 5.0, "5", "-05", 10**30)] == [5, 5, 5, -5, 10**30]
    assert [number(each) for each in (5, "5.5", ".5", "1e3", "-2.")] == [5, 5.5, 0.5, 1000, -2]
    odd: object
    for odd in (True, None, 1.5, float("nan"), float("inf"), [], "1.5"):
        with pytest.raises(ValueError, match="no whole number"):
            whole_number(odd)
    for odd in (True, None, float("nan"), float("inf"), 10**400, "1e999"):
        with pytest.raises(ValueError, match="no number"):
            number(odd)


def test_a_record_that_does_not_fit_costs_itself_alone() -> None:
    for bad in BAD_RECORDS:
        kept, unfit = sift(logs(bad), ExportLogsServiceRequest.DESCRIPTOR)
        good = {"scopeLogs": [{"logRecords": [{"timeUnixNano": "1"}]}]}
        assert kept == {"resourceLogs": [good]}, bad
        assert [(each.part, each.leaves) for each in unfit] == [(bad, 1)]
        assert "zz" not in unfit[0].reason, "nothing that was sent"


@pytest.mark.parametrize(
    ("content", "leaves", "points"),
    [
        (metrics({"asInt": 1.5}, {}), [1], 1),
        (metrics({"asInt": "1", "asDouble": 1.0}, {}), [1], 1),
        (metrics({"asInt": "2"}, {"isMonotonic": "true"}), [2], 0),
        (metrics({"asInt": "2"}, {}, gauge={"dataPoints": [{}, {}]}), [4], 0),
        (metrics({"asInt": "2"}, {}, name=5), [2], 0),
        ({"resourceMetrics": [*metrics({}, {})["resourceMetrics"], "none", None]}, [1, 1], 1),
        ({"resourceMetrics": [{"resource": 5, **metrics({}, {})["resourceMetrics"][0]}]}, [2], 0),
        ({"resourceMetrics": [{"scopeMetrics": "none"}]}, [1], 0),
    ],
)
def test_what_is_wrong_above_the_points_costs_those_below_it(
    content: dict[str, Any], leaves: list[int], points: int
) -> None:
    kept, unfit = sift(content, ExportMetricsServiceRequest.DESCRIPTOR)
    assert [each.leaves for each in unfit] == leaves
    assert json.dumps(kept).count("asInt") == points
    assert is_taken(kept, ExportMetricsServiceRequest())


def test_the_sum_of_a_histograms_point_is_a_number() -> None:
    def histogram(total: Any) -> dict[str, Any]:
        metric = {"histogram": {"dataPoints": [{"sum": total}]}}
        return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}

    message = ExportMetricsServiceRequest.DESCRIPTOR
    assert sift(histogram(1.5), message) == (histogram(1.5), [])
    assert [each.reason for each in sift(histogram("many"), message)[1]] == [
        "`sum` that is no number"
    ]


def test_behind_the_most_that_is_looked_at_all_is_kept() -> None:
    content = logs({"flags": -1})
    assert sift(content, ExportLogsServiceRequest.DESCRIPTOR, most=2) == (content, [])
