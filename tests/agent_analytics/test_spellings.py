"""One request is one, however its sender spells it and by whichever door it comes."""

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from flows._shared.otlp_spelling import renamed, snake
from flows.agent_analytics import raw
from flows.agent_analytics.records import LoadCounts, Signal, UnreadableTelemetryError
from flows.agent_analytics.rules import canonical_json, canonical_line
from flows.webhooks import telemetry
from flows.webhooks.bodies import examine
from flows.webhooks.sources import AGENT_ANALYTICS
from tests.agent_analytics.test_otlp import DAY, LOGS, METRICS, load, rows

SEED = 1
VALUES = 60
ENDPOINT = next(each for each in AGENT_ANALYTICS.endpoints if each.protocol == "otlp-logs")
LEAVES: tuple[Callable[[random.Random], Any], ...] = (
    lambda draw: draw.choice(["", "a", "é江😀", 'quote " \\ \n\t', "\x7f\u2028", "1", "null"]),
    lambda draw: draw.choice([0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), draw.getrandbits(40)]),
    lambda draw: draw.choice(
        [0.0, -0.0, 1.0, 1e3, 0.1, 1e22, 5e-324, 1.7976931348623157e308, draw.random(), -2.5]
    ),
    lambda draw: draw.choice([True, False]),
    lambda draw: draw.randbytes(draw.randrange(5)),
    lambda draw: None,
)


def drawn(draw: random.Random, depth: int = 0) -> Any:
    if depth < 4 and draw.random() < 0.5:
        inner = [drawn(draw, depth + 1) for _ in range(draw.randrange(4))]
        if draw.random() < 0.5:
            return inner
        return {draw.choice(["", "a", "B", "é", "key 9"]) + str(n): v for n, v in enumerate(inner)}
    leaf: Callable[[random.Random], Any] = draw.choice(LEAVES)
    return leaf(draw)


def as_message(value: Any, draw: random.Random) -> AnyValue:
    message = AnyValue()
    match value:
        case None:
            pass
        case bool():
            message.bool_value = value
        case int():
            message.int_value = value
        case float():
            message.double_value = value
        case str():
            message.string_value = value
        case bytes():
            message.bytes_value = value
        case list():
            message.array_value.SetInParent()
            message.array_value.values.extend(as_message(each, draw) for each in value)
        case dict():
            message.kvlist_value.SetInParent()
            message.kvlist_value.values.extend(
                KeyValue(key=key, value=as_message(each, draw))
                for key, each in draw.sample(sorted(value.items()), len(value))
            )
    return message


def as_json(value: Any, draw: random.Random) -> str:
    """OTLP's JSON in one of the spellings that a reader of it takes."""
    space = draw.choice(["", " "])
    match value:
        case None:
            return draw.choice(["{}", "{ }", '{"stringValue":null}'])
        case bool():
            name, text = "boolValue", json.dumps(value)
        case int():
            name, text = "intValue", draw.choice([str(value), f'"{value}"'])
        case float():
            whole = [f"{value:.0f}"] if value.is_integer() and 0 < abs(value) < 1e15 else []
            spelled = [repr(value), f"{value:.17e}", *whole]
            name, text = "doubleValue", draw.choice([*spelled, *(f'"{each}"' for each in spelled)])
        case str():
            name, text = "stringValue", json.dumps(value, ensure_ascii=draw.random() < 0.5)
        case bytes():
            coded = base64.b64encode(value, draw.choice([b"+/", b"-_"]))
            name, text = "bytesValue", json.dumps(coded.decode())
            if draw.random() < 0.5:
                text = text.replace("=", "")
        case list():
            inner = f",{space}".join(as_json(each, draw) for each in value)
            name, text = "arrayValue", as_values(inner, draw)
        case dict():
            pairs = []
            for key, each in draw.sample(sorted(value.items()), len(value)):
                named = [f'"key":{space}{json.dumps(key)}', f'"value":{as_json(each, draw)}']
                pairs.append("{" + ",".join(draw.sample(named, 2)) + "}")
            pairs += draw.sample(pairs, min(1, len(pairs)))
            name, text = "kvlistValue", as_values(f",{space}".join(pairs), draw)
    return f'{{{space}"{name}"{space}:{space}{text}}}'


def as_values(inner: str, draw: random.Random) -> str:
    if not inner and draw.random() < 0.5:
        return "{}"
    return f'{{"values":[{inner}]}}'


def requests(value: str, number: int) -> dict[Signal, str]:
    """An event and a point with this value in their attributes and in those of the resource."""
    pair = f'{{"key":"drawn","value":{value}}}'
    nanos = int(DAY.timestamp() * 10**9) + number * 10**6
    resource = f'"resource":{{"attributes":[{pair}]}}'
    record = f'{{"timeUnixNano":"{nanos}","eventName":"e.e","attributes":[{pair}]}}'
    point = f'{{"timeUnixNano":"{nanos}","asDouble":1.5,"attributes":[{pair}]}}'
    total = f'{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{point}]}}'
    logs = f'"scopeLogs":[{{"logRecords":[{record}]}}]'
    metrics = f'"scopeMetrics":[{{"metrics":[{{"name":"m.m","sum":{total}}}]}}]'
    return {
        Signal.LOGS: f'{{"resourceLogs":[{{{resource},{logs}}}]}}',
        Signal.METRICS: f'{{"resourceMetrics":[{{{resource},{metrics}}}]}}',
    }


def as_protobuf(line: str, signal: Signal, value: AnyValue) -> bytes:
    content = json.loads(line)
    if signal is Signal.LOGS:
        logs = ParseDict(content, ExportLogsServiceRequest())
        (resource,) = logs.resource_logs
        for each in (resource.resource, resource.scope_logs[0].log_records[0]):
            each.attributes[0].value.CopyFrom(value)
        return bytes(logs.SerializeToString())
    metrics = ParseDict(content, ExportMetricsServiceRequest())
    (resource,) = metrics.resource_metrics
    point = resource.scope_metrics[0].metrics[0].sum.data_points[0]
    for each in (resource.resource, point):
        each.attributes[0].value.CopyFrom(value)
    return bytes(metrics.SerializeToString())


def test_any_value_is_the_same_by_every_door(store: raw.Store, inbox: Path) -> None:
    """Files of plain lines, the receiver's JSON, its protobuf; the kinds of values nested."""
    draw = random.Random(SEED)
    values = [drawn(draw) for _ in range(VALUES)]
    doors: dict[str, list[str]] = {"plain": [], "plain again": [], "json": [], "protobuf": []}
    for number, value in enumerate(values):
        for signal in Signal:
            for door in ("plain", "plain again"):
                doors[door].append(requests(as_json(value, draw), number)[signal])
            told = requests(as_json(value, draw), number)[signal].encode()
            doors["json"].append(canonical_line(told, signal, "application/json").line)
            message = as_protobuf(requests("{}", number)[signal], signal, as_message(value, draw))
            doors["protobuf"].append(canonical_line(message, signal, "application/x-protobuf").line)
    for door, lines in doors.items():
        (inbox / f"{door}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    counts = load(store, inbox, 10**9)
    if counts != LoadCounts(rows_new=2 * VALUES, rows_repeated=6 * VALUES):
        differing = rows(
            store,
            "select list(attributes), list(resource_attributes) from raw.otel_logs "
            "group by timestamp having count(*) > 1 union all select list(attributes), [] "
            "from raw.otel_metrics group by timestamp having count(*) > 1",
        )
        pytest.fail(f"{counts}: {differing} {rows(store, 'from raw.rejected')}")


FORMER = {
    "scopeLogs": "instrumentationLibraryLogs",
    "scopeMetrics": "instrumentationLibraryMetrics",
    "scope": "instrumentationLibrary",
}
CALLED: dict[str, Callable[[str], str]] = {
    "as the messages do": snake,
    "formerly": lambda name: FORMER.get(name, name),
    "formerly, as the messages did": lambda name: snake(FORMER.get(name, name)),
}


def with_names(content: Any, name: Callable[[str], str]) -> Any:
    match content:
        case dict():
            return {name(key): with_names(value, name) for key, value in content.items()}
        case list():
            return [with_names(each, name) for each in content]
    return content


@pytest.mark.parametrize("how", CALLED)
def test_names_that_are_or_were_of_otlp_are_read(store: raw.Store, inbox: Path, how: str) -> None:
    (inbox / "a.jsonl").write_text(f"{METRICS}\n{LOGS}\n")
    assert load(store, inbox) == LoadCounts(rows_new=3)
    spelled = [with_names(json.loads(line), CALLED[how]) for line in (METRICS, LOGS)]
    (inbox / "b.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in spelled))
    assert load(store, inbox) == LoadCounts(rows_repeated=3)
    for signal, line, content in zip(Signal, (METRICS, LOGS), spelled, strict=True):
        found = canonical_json(json.dumps(content).encode(), signal)
        assert found == canonical_json(line.encode())
        assert telemetry.partial(f"otlp-{signal.value}", content) is None


def test_what_a_message_of_protobuf_holds_in_former_fields_is_read() -> None:
    """By the specification it counts where nothing stands in the fields of now."""
    for signal, line, scopes in (
        (Signal.METRICS, METRICS, "scope_metrics"),
        (Signal.LOGS, LOGS, "scope_logs"),
    ):
        now = _message(line, signal)
        (resource,) = getattr(now, f"resource_{signal.value}")
        former = b"".join(
            b"\xc2\x3e" + _varint(len(data)) + data
            for data in (scope.SerializeToString() for scope in getattr(resource, scopes))
        )
        both = type(resource).FromString(resource.SerializeToString() + former)
        resource.ClearField(scopes)
        alone = type(resource).FromString(resource.SerializeToString() + former)
        for odd in (both, alone):
            resource.CopyFrom(odd)
            body = now.SerializeToString()
            found = canonical_line(body, signal, "application/x-protobuf")
            assert found == canonical_json(line.encode(), signal)


def _message(line: str, signal: Signal) -> Any:
    make = ExportLogsServiceRequest if signal is Signal.LOGS else ExportMetricsServiceRequest
    return ParseDict(json.loads(line), make())


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


@pytest.mark.parametrize(
    ("line", "name", "other", "rejected"),
    [
        (LOGS, "resourceLogs", "ResourceLogs", 1),
        (LOGS, "scopeLogs", "ScopeLogs", 1),
        (LOGS, "logRecords", "LOGRECORDS", 1),
        (LOGS, "attributes", "Attributes", 1),
        (LOGS, "resource", "Resource", 1),
        (LOGS, "key", "Key", 1),
        (LOGS, "stringValue", "stringvalue", 1),
        (METRICS, "scopeMetrics", "scopemetrics", 1),
        (METRICS, "dataPoints", "Data_Points", 1),
        (METRICS, "attributes", "ATTRIBUTES", 2),
    ],
)
def test_names_in_other_letters_are_told(
    store: raw.Store, inbox: Path, line: str, name: str, other: str, rejected: int
) -> None:
    content = with_names(json.loads(line), lambda key: other if key == name else key)
    signal = Signal.LOGS if line is LOGS else Signal.METRICS
    said = telemetry.partial(f"otlp-{signal.value}", content)
    assert said
    assert said.rejected == rejected
    assert f"`{name}` in other letters" in said.message
    if name == "resourceLogs":
        with pytest.raises(UnreadableTelemetryError, match="in other letters"):
            canonical_json(json.dumps(content).encode(), signal)
    else:
        unread = canonical_json(json.dumps(content).encode(), signal).unread
        assert {each.reason.partition(": ")[2] for each in unread} == {f"`{name}` in other letters"}
        (inbox / "a.jsonl").write_text(f"{line}\n{json.dumps(content)}\n")
        assert load(store, inbox).rejected > 0
        for (reason,) in rows(store, "select reason from raw.rejected"):
            assert reason.endswith(f"`{name}` in other letters")


def test_names_in_other_letters_that_lose_nothing_cost_nothing(
    store: raw.Store, inbox: Path
) -> None:
    pairs = {"startTimeUnixNano": "StartTime_UnixNano", "unit": "Unit", "severityText": "Severity"}
    spelled = [
        {**with_names(json.loads(line), lambda key: pairs.get(key, key)), "schemaURL": "x"}
        for line in (METRICS, LOGS)
    ]
    spelled[1]["resourceLogs"][0]["schemaURL"] = "x"
    for content in spelled:
        assert not canonical_json(json.dumps(content).encode()).unread
    (inbox / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in spelled))
    assert load(store, inbox) == LoadCounts(rows_new=3)


DIGITS = "9" * 5_000
BROKEN = {
    "a key": ('{"timeUnixNano":', '{"timeUnixNano":"1","timeUnixNano":', "`timeUnixNano` twice"),
    "a list": ('"attributes":[', '"attributes":[],"attributes":[', "`attributes` twice"),
    "a value": ('{"stringValue":', '{"stringValue":"a","stringValue":', "`stringValue` twice"),
    "halves of letters": (
        '{"timeUnixNano":',
        '{"\\ud800":1,"\\ud801":1,"timeUnixNano":',
        "a key twice",
    ),
    "digits": ('"attributes":[', f'"flags":{DIGITS},"attributes":[', "whole number in its range"),
    "no number": ('"attributes":[', '"flags":NaN,"attributes":[', "whole number in its range"),
    "infinite": ('"attributes":[', '"flags":-1e999,"attributes":[', "whole number in its range"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_readers_of_json_end_at_costs_its_record_alone(
    store: raw.Store, inbox: Path, what: str
) -> None:
    before, after, reason = BROKEN[what]
    (record,) = json.loads(LOGS)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    text = json.dumps(record, separators=(",", ":"))
    assert before in text
    line = LOGS.replace(text, f"{text},{text.replace(before, after, 1)}")
    (inbox / "a.jsonl").write_text(f"{line}\n{METRICS}\n")
    assert load(store, inbox).rows_new == 3
    found = canonical_json(line.encode(), Signal.LOGS)
    assert found.line == canonical_json(LOGS.encode()).line
    assert [each.reason.endswith(reason) for each in found.unread] == [True]
    taken = examine(ENDPOINT, {}, "application/json", line.encode())
    assert taken.payload is None
    assert taken.partial
    assert (taken.partial.rejected, taken.partial.message.endswith(reason)) == (1, True)


def nested(value: str, depth: int) -> str:
    return '{"arrayValue":{"values":[' * depth + value + "]}}" * depth


@pytest.mark.parametrize(("depth", "unread"), [(38, 0), (39, 1), (46, 1), (100, 1)])
@pytest.mark.parametrize("is_of_resource", [False, True])
def test_a_record_of_lists_that_no_reader_follows_costs_itself_alone(
    store: raw.Store, inbox: Path, depth: int, unread: int, is_of_resource: bool
) -> None:
    """By every door one limit, which protobuf's own is beyond."""
    content, deep = json.loads(LOGS), json.loads(LOGS)
    (resource,) = deep["resourceLogs"]
    holder = resource["resource"] if is_of_resource else resource["scopeLogs"][0]["logRecords"][0]
    value = json.loads(nested('{"stringValue":"x"}', depth))
    holder["attributes"].append({"key": "deep", "value": value})
    content["resourceLogs"].append(resource)
    (inbox / "a.jsonl").write_text(f"{json.dumps(content)}\n{METRICS}\n")
    assert load(store, inbox) == LoadCounts(rows_new=4 - unread, rejected=unread)
    for (reason,) in rows(store, "select reason from raw.rejected"):
        assert reason.endswith("lists and maps nested too deep")
    body = json.dumps(content).encode()
    found = canonical_json(body, Signal.LOGS)
    assert len(found.unread) == unread
    told = examine(ENDPOINT, {}, "application/json", body).partial
    assert (told.rejected if told else 0) == unread
    if depth < 100:
        message = _message(json.dumps(content), Signal.LOGS).SerializeToString()
        same = canonical_line(message, Signal.LOGS, "application/x-protobuf")
        assert (same.line, len(same.unread)) == (found.line, unread)


def test_bare_lists_that_python_does_not_follow_cost_their_line_alone(
    store: raw.Store, inbox: Path
) -> None:
    deep = f'{{"key":"deep","value":{{"arrayValue":{{"values":{"[" * 990}{"]" * 990}}}}}}}'
    content = json.loads(LOGS)
    content["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] = ["deep"]
    line = json.dumps(content).replace('"deep"', deep)
    (inbox / "a.jsonl").write_text(f"{line}\n{METRICS}\n")
    counts = load(store, inbox)
    assert counts.rejected == 1
    assert counts.rows_new == load(store, inbox).rows_repeated + counts.rows_new > 0


def test_an_empty_list_of_now_beside_the_full_one_of_before_loses_nothing() -> None:
    message = ExportLogsServiceRequest.DESCRIPTOR.fields_by_name["resource_logs"].message_type
    of_now, of_before = "scopeLogs", "instrumentationLibraryLogs"
    full: list[object] = [{"schemaUrl": "x"}]
    nothing: list[object] = []
    for empty in (nothing, None):
        first: dict[str, object] = {of_now: empty, of_before: full}
        last: dict[str, object] = {of_before: full, of_now: empty}
        assert renamed(first, message)[of_now] == renamed(last, message)[of_now] == full
    both = {
        "instrumentationLibraryLogs": [{}],
        "instrumentation_library_logs": [{"schemaUrl": "x"}],
    }
    assert renamed(both, message)["scopeLogs"] == [{}, {"schemaUrl": "x"}]


def test_a_request_that_is_told_by_both_names_of_its_list_is_read_whole() -> None:
    content = json.loads(LOGS)
    both = json.dumps({"resource_logs": content["resourceLogs"], **content}).encode()
    found = canonical_json(both)
    assert not found.unread
    assert len(json.loads(found.line)["resourceLogs"]) == 2 * len(content["resourceLogs"])


def test_half_a_letter_is_read_as_the_sign_for_none(store: raw.Store, inbox: Path) -> None:
    """As JavaScript sends it where it does not write JSON."""
    cut = LOGS.replace('"body":{"stringValue":"', '"body":{"stringValue":"\\\\\\ud83d')
    cut = cut.replace('"key":"model"', '"key":"\\uDE00\\ud83d\\ude00"')
    assert cut.count("\\u") == 4
    whole = cut.replace("\\\\\\ud83d", "\\\\\ufffd").replace("\\uDE00\\ud83d", "\ufffd\\ud83d")
    (inbox / "a.jsonl").write_text(f"{whole}\n")
    assert load(store, inbox) == LoadCounts(rows_new=1)
    (inbox / "b.jsonl").write_text(f"{cut}\n")
    assert load(store, inbox) == LoadCounts(rows_repeated=1)
    taken = examine(ENDPOINT, {}, "application/json", cut.encode())
    assert taken.partial is None
    assert taken.payload
    assert json.loads(taken.payload) == json.loads(whole)
