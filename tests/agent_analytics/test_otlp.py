"""What is sent is what is loaded: every encoding, resends, broken input, a real SDK."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from flows.agent_analytics import raw, rules, sample
from flows.agent_analytics.records import LoadCounts, Signal, UnreadableTelemetryError
from flows.agent_analytics.rules import canonical_json, canonical_line
from flows.agent_analytics.sample import CUMULATIVE
from flows.agent_analytics.sync import load_telemetry
from flows.webhooks import telemetry
from tests.agent_analytics import clients
from tests.agent_analytics.fleet import SONNET, developer, request, session, tokens

DAY = datetime(2026, 3, 2, tzinfo=UTC)
WORK = session("s", DAY)
METRICS = tokens(WORK, {"input": 10, "output": 20}, 0, 1)
LOGS = request(WORK, 1, (1, 2, 3, 4))
BATCHES = 16


def load(store: raw.Store, inbox: Path, batch_bytes: int = 1_000_000) -> LoadCounts:
    return load_telemetry(store, [str(inbox)], batch_bytes)


def rows(store: raw.Store, statement: str) -> list[tuple[Any, ...]]:
    with store.connect() as connection:
        return connection.execute(statement).fetchall()


def as_protobuf(line: str) -> bytes:
    message = ParseDict(json.loads(line), ExportMetricsServiceRequest())
    return bytes(message.SerializeToString())


def test_a_point_is_loaded_with_its_time_value_and_attributes(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "a.jsonl").write_text(f"{METRICS}\n{LOGS}\n")
    assert load(store, inbox) == LoadCounts(rows_new=3)
    assert rows(
        store,
        "select cast(timestamp as varchar), developer_id, metric_name, metric_value, session_id, "
        "agent_type, temporality, attributes ->> '$.type', "
        "resource_attributes ->> '$.\"service.name\"' from raw.otel_metrics order by metric_value",
    ) == [
        ("2026-03-02 00:01:00", "dev1@work.example", "claude_code.token.usage", value, "s",
         "claude_code", "delta", kind, "claude-code")
        for value, kind in ((10.0, "input"), (20.0, "output"))
    ]  # fmt: skip
    assert rows(
        store,
        "select event_name, body, attributes -> '$.\"event.sequence\"', model_name "
        "from raw.otel_logs",
    ) == [("api_request", "claude_code.api_request", "0", SONNET)]


def test_json_gzip_and_protobuf_are_the_same_points(store: raw.Store, inbox: Path) -> None:
    (inbox / "a.jsonl").write_text(METRICS + "\n")
    (inbox / "b.jsonl.gz").write_bytes(gzip.compress(METRICS.encode() + b"\n"))
    (inbox / "metrics-c.pb").write_bytes(as_protobuf(METRICS))
    (inbox / "metrics-d.pb.gz").write_bytes(gzip.compress(as_protobuf(METRICS)))
    (inbox / "e.jsonl").write_text(
        canonical_line(gzip.compress(as_protobuf(METRICS)), Signal.METRICS,
                       "application/x-protobuf; v=1", "gzip").line + "\n"
    )  # fmt: skip
    assert load(store, inbox) == LoadCounts(rows_new=2, rows_repeated=8)


def test_a_resend_in_another_file_and_another_run_adds_nothing(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "a.jsonl").write_text(f"{METRICS}\n{LOGS}\n{LOGS}\n")
    assert load(store, inbox) == LoadCounts(rows_new=3, rows_repeated=1)
    (inbox / "b.jsonl").write_text(f"{LOGS}\n{METRICS}\n")
    assert load(store, inbox) == LoadCounts(rows_repeated=3)
    assert load(store, inbox) == LoadCounts()


def test_a_growing_file_is_read_on_from_its_last_whole_line(store: raw.Store, inbox: Path) -> None:
    path = inbox / "a.jsonl"
    path.write_text(METRICS + "\n" + LOGS[:40])
    assert load(store, inbox) == LoadCounts(rows_new=2)
    path.write_text(METRICS + "\n" + LOGS + "\n")
    assert load(store, inbox) == LoadCounts(rows_new=1), "the first line was not read again"
    other = tokens(WORK, {"input": 99}, 5, 6)
    path.write_text("\n".join([other, METRICS, LOGS, ""]))
    assert load(store, inbox) == LoadCounts(rows_new=1, rows_repeated=3), "another file now"


def test_bad_lines_are_put_aside_with_a_reason_and_good_ones_load(
    store: raw.Store, inbox: Path
) -> None:
    bad = [
        '{"resourceMetrics": [',
        "[]",
        '{"resourceSpans": []}',
        '{"resourceMetrics": "none"}',
        METRICS.replace('"asDouble":10', '"asDouble":"ten"'),
    ]
    (inbox / "a.jsonl").write_text("\n".join([METRICS, *bad, LOGS, ""]))
    assert load(store, inbox) == LoadCounts(rows_new=3, rows_repeated=1, rejected=5)
    reasons = [reason for (reason,) in rows(store, "select reason from raw.rejected")]
    assert len(reasons) == 5
    for part in ("not JSON", "not a JSON object", "neither", "not the shape of OTLP metrics"):
        assert any(part in reason for reason in reasons), part


def test_a_line_of_another_signal_is_put_aside_even_in_a_good_file(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "a.jsonl").write_text(METRICS + '\n{"resourceSpans":[]}\n')
    assert load(store, inbox) == LoadCounts(rows_new=2, rejected=1)


def test_points_that_make_no_sense_are_put_aside_one_by_one(store: raw.Store, inbox: Path) -> None:
    good, timeless, summary = (json.loads(METRICS) for _ in range(3))
    timeless["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0][
        "timeUnixNano"
    ] = "0"
    metric = summary["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    metric["summary"] = {"dataPoints": metric.pop("sum")["dataPoints"][:0]}
    (inbox / "a.jsonl").write_text("".join(json.dumps(x) + "\n" for x in (timeless, summary)))
    assert load(store, inbox) == LoadCounts(rows_new=1, rejected=2)
    (inbox / "b.jsonl").write_text(json.dumps(good) + "\n")
    assert load(store, inbox) == LoadCounts(rows_new=1, rows_repeated=1)


def test_a_line_longer_than_is_usual_loads_with_its_neighbours(
    store: raw.Store, inbox: Path
) -> None:
    padding = "x" * 17_000_000
    long = METRICS.replace('"description":""', f'"description":"{padding}"')
    assert len(long) > 16 * 1024**2
    (inbox / "a.jsonl").write_text(f"{LOGS}\n{long}\n")
    assert load(store, inbox) == LoadCounts(rows_new=3)


def test_two_scopes_of_one_name_are_two_counters(store: raw.Store, inbox: Path) -> None:
    other = METRICS.replace("com.anthropic.claude_code", "another.scope")
    (inbox / "a.jsonl").write_text(f"{METRICS}\n{other}\n")
    assert load(store, inbox) == LoadCounts(rows_new=4)
    assert rows(store, "select count(*) from raw.otel_counters") == [(4,)]


def test_attributes_of_another_shape_put_only_their_point_aside(
    store: raw.Store, inbox: Path
) -> None:
    odd = json.loads(METRICS)
    metric = odd["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    metric["sum"]["dataPoints"][0]["attributes"][-1]["value"] = "input"
    (inbox / "a.jsonl").write_text(f"{METRICS}\n{json.dumps(odd)}\n")
    assert load(store, inbox) == LoadCounts(rows_new=2, rows_repeated=1, rejected=1)


def test_a_broken_gzip_and_a_broken_protobuf_leave_the_other_files_alone(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "a.jsonl").write_text(METRICS + "\n")
    (inbox / "b.jsonl.gz").write_bytes(gzip.compress((LOGS + "\n").encode() * 50)[:-20])
    (inbox / "metrics-c.pb").write_bytes(b"\xff\xff nothing")
    counts = load(store, inbox)
    assert counts.rejected == 2
    assert rows(store, "select count(*) from raw.otel_metrics") == [(2,)]


def test_a_collectors_file_of_protobuf_is_its_messages_each_behind_its_length(
    store: raw.Store, inbox: Path
) -> None:
    def framed(message: bytes) -> bytes:
        return len(message).to_bytes(4, "big") + message

    later = tokens(WORK, {"input": 30, "output": 40}, 1, 2)
    first, second = as_protobuf(METRICS), as_protobuf(later)
    file = inbox / "metrics.pb"
    file.write_bytes(framed(first) + framed(b"\xff nothing") + framed(second)[:-1])
    assert load(store, inbox) == LoadCounts(rows_new=2, rejected=1)
    assert rows(store, "select excerpt from raw.rejected") == [
        (f"message at byte {len(framed(first))}",)
    ]
    (inbox / "metrics-old.pb.gz").write_bytes(gzip.compress(framed(first) + framed(second)))
    file.write_bytes(framed(first) + framed(b"\xff nothing") + framed(second))
    assert load(store, inbox).rows_new == 2
    assert rows(store, "select sum(metric_value) from raw.otel_metrics") == [(100,)]


def test_what_is_too_long_as_json_is_put_aside(
    store: raw.Store, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is short as protobuf may be ten times as long as a line, which DuckDB reads whole."""
    (inbox / "metrics.pb").write_bytes(as_protobuf(METRICS))
    monkeypatch.setattr("flows.agent_analytics.source.rows.LONGEST_LINE", 100)
    assert load(store, inbox) == LoadCounts(rejected=1)
    assert rows(store, "select reason from raw.rejected") == [
        ("longer than 100 characters as JSON",)
    ]


def test_attributes_told_twice_or_of_every_type_are_kept_as_they_are_and_doubles_are_told(
    store: raw.Store, inbox: Path
) -> None:
    request_ = json.loads(METRICS)
    point = request_["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0]
    point["attributes"] += [
        {"key": "model", "value": {"stringValue": "the second"}},
        {"key": "same", "value": {"stringValue": "same"}},
        {"key": "same", "value": {"stringValue": "same"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}},
        {"key": "yes", "value": {"boolValue": True}},
        {"key": "half", "value": {"doubleValue": 0.5}},
        {"key": "nothing", "value": {}},
        {"key": 'quote " and 江', "value": {"stringValue": "'"}},
    ]
    log = json.loads(LOGS)
    pairs = log["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"]
    pairs.append({"key": pairs[0]["key"], "value": {"stringValue": "the second"}})
    (inbox / "a.jsonl").write_text(f"{json.dumps(request_)}\n{json.dumps(log)}\n")
    assert load(store, inbox) == LoadCounts(rows_new=3, rejected=2)
    for reason, excerpt in rows(store, "select reason, excerpt from raw.rejected"):
        assert reason.startswith("attributes of one name with two values: the row is kept")
        assert "the second" in excerpt
    ((text,),) = rows(store, "select attributes from raw.otel_metrics where metric_value = 10")
    seen = json.loads(text)
    assert seen["model"] == SONNET
    assert (seen["yes"], seen["half"], seen["nothing"]) == (True, 0.5, None)
    assert seen['quote " and 江'] == "'"


@pytest.mark.parametrize(
    ("written", "doubled"),
    [
        ('{"key":', '{"key": "other", "key":'),
        ('{"key":', '{"value": {"stringValue": "other"}, "key":'),
        ('"stringValue":', '"stringValue": "other", "stringValue":'),
        ('"asInt":', '"asInt": "7", "asInt":'),
    ],
)
def test_a_key_twice_in_a_file_costs_what_it_stands_in_alone(
    store: raw.Store, inbox: Path, written: str, doubled: str
) -> None:
    spaced = json.dumps(json.loads(METRICS))
    name = "asInt" if "asInt" in spaced else "asDouble"
    bad = spaced.replace(written.replace("asInt", name), doubled.replace("asInt", name), 1)
    assert bad != spaced
    (inbox / "a.jsonl").write_text(f"{bad}\n{METRICS}\n")
    counts = load(store, inbox)
    assert (counts.rows_new, counts.rejected) == (2, 1)
    ((reason,),) = rows(store, "select reason from raw.rejected")
    assert reason.endswith("` twice")


@pytest.mark.parametrize("line", [METRICS, LOGS])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize(
    "nested",
    [
        '{"arrayValue":{"values":[{"stringValue":"a","stringValue":"b"}]}}',
        '{"kvlistValue":{"values":[{"key":"a","value":{"intValue":1},"value":{"intValue":2}}]}}',
        '{"kvlistValue":{"values":[]},"arrayValue":{"values":[],"values":[]}}',
    ],
)
def test_a_key_twice_within_a_list_or_map_costs_its_holder_as_at_the_door(
    store: raw.Store, inbox: Path, line: str, place: int, nested: str
) -> None:
    """In the attributes of the resource, and in those of the last point or record."""
    bad = line.replace('"attributes":[', f'"attributes":[{{"key":"n","value":{nested}}},', 1)
    if place:
        head, mark, tail = line.rpartition('"attributes":[')
        bad = f'{head}{mark}{{"key":"n","value":{nested}}},{tail}'
    (inbox / "a.jsonl").write_text(f"{bad}\n{line}\n")
    rows_of_line = 2 if line is METRICS else 1
    counts = load(store, inbox)
    assert (counts.rows_new, counts.rejected) == (rows_of_line, 1)
    (unread,) = canonical_json(bad.encode()).unread
    assert rows(store, "select reason from raw.rejected") == [(unread.reason,)]


def test_many_small_batches_load_the_same_rows_as_one(tmp_path: Path, inbox: Path) -> None:
    lines = [*islice(sample.telemetry(1, 3), BATCHES - 2), METRICS, LOGS]
    for number, line in enumerate(lines):
        with (inbox / f"{number % 3}.jsonl").open("a") as file:
            file.write(line + "\n")
    stores = [raw.Store(tmp_path / f"{name}.duckdb") for name in ("one", "many")]
    counts = [load(stores[0], inbox), load(stores[1], inbox, batch_bytes=1)]
    assert counts[0] == counts[1]
    keys = "select point_key from raw.otel_metrics order by 1"
    assert rows(stores[0], keys) == rows(stores[1], keys)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_either_a_request_or_refused_with_a_reason(body: bytes) -> None:
    for kind in ("application/json", "application/x-protobuf", "text/plain"):
        for encoding in ("", "gzip", "br"):
            try:
                line = canonical_line(body, Signal.METRICS, kind, encoding).line
            except UnreadableTelemetryError:
                continue
            else:
                assert "\n" not in line
                assert canonical_json(line.encode()).line == line


@contextmanager
def receiver(inbox: Path, port: int = 0) -> Iterator[int]:
    """The least a receiver does: answer an export once its canonical line is in a file."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            line = canonical_line(
                body,
                Signal(self.path.rpartition("/")[2]),
                self.headers["content-type"],
                self.headers.get("content-encoding", ""),
            ).line
            with (inbox / "received.jsonl").open("a") as file:
                file.write(line + "\n")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_a_real_sdk_exports_over_http_loads_without_loss(
    store: raw.Store, inbox: Path
) -> None:
    with receiver(inbox) as port:
        exporter = OTLPMetricExporter(
            f"http://127.0.0.1:{port}/v1/metrics", compression=Compression.Gzip
        )
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        resource = Resource({"service.name": "claude-code", "developer_id": "ada"})
        provider = MeterProvider([reader], resource)
        counter = provider.get_meter("m").create_counter("claude_code.token.usage", "tokens")
        for number in range(1, 4):
            for kind in ("input", "output"):
                counter.add(number, {"type": kind, "session.id": "s", "model": "claude-opus-4-5"})
            provider.force_flush()
        provider.shutdown()
    load(store, inbox)
    assert rows(
        store,
        "select attributes ->> '$.type', temporality, developer_id, max(metric_value) "
        "from raw.otel_metrics group by all order by 1",
    ) == [("input", "cumulative", "ada", 6.0), ("output", "cumulative", "ada", 6.0)]


def test_a_crash_in_the_middle_of_a_load_leaves_nothing_of_it(
    store: raw.Store, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.jsonl").write_text(METRICS + "\n")

    def fail(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(raw, "record_read", fail)
        with pytest.raises(KeyboardInterrupt):
            load(store, inbox)
    assert rows(store, "select count(*) from raw.otel_metrics") == [(0,)]
    assert load(store, inbox) == LoadCounts(rows_new=2)


def test_times_are_utc_whatever_the_machine_thinks(
    store: raw.Store, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    late = session("s", DAY + timedelta(hours=23, minutes=59))
    (inbox / "a.jsonl").write_text(request(late, 0, (1, 1, 1, 1)) + "\n")
    load(store, inbox)
    assert rows(store, "select cast(timestamp as varchar) from raw.otel_logs") == [
        ("2026-03-02 23:59:00",)
    ]


def test_the_store_opens_read_only_while_nobody_writes(store: raw.Store, inbox: Path) -> None:
    (inbox / "a.jsonl").write_text(METRICS + "\n")
    load(store, inbox)
    with duckdb.connect(str(store.path), read_only=True) as connection:
        assert connection.execute("select count(*) from raw.otel_metrics").fetchone() == (2,)


def event_with(**values: object) -> str:
    moment, name, attributes = sample.request_event(WORK, SONNET, (1, 2, 3, 4), 1, DAY, 0)
    return sample.logs_line(WORK, [(moment, name, {**attributes, **values})])


POISONED_EVENTS = [
    {name: value}
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
    for value in (
        "inf",
        "-inf",
        "nan",
        "1e14",
        "-5000000",
        "many",
        "1.5",
        "10000000001",
        "1_000",
        "0x10",
        "\u0665",
    )
] + [{"cost_usd": value} for value in ("inf", "nan", "-1", "1e11", "free")]


def test_a_value_that_no_request_has_is_put_aside_with_its_sender(
    store: raw.Store, inbox: Path
) -> None:
    """Each alone, beside an event that is in order."""
    lines = [event_with(request_id=f"r{n}", **bad) for n, bad in enumerate(POISONED_EVENTS)]
    (inbox / "a.jsonl").write_text("\n".join([*lines, LOGS, ""]))
    assert load(store, inbox) == LoadCounts(rows_new=1, rejected=len(POISONED_EVENTS))
    assert rows(
        store,
        "select count(*) from raw.rejected "
        "where starts_with(excerpt, 'from dev1@work.example in s at 2026-03-02')",
    ) == [(len(POISONED_EVENTS),)]


NO_COUNTS: list[dict[str, Any]] = [
    *(
        {"intValue": value}
        for value in ("99999999999999999999", 10**20, "abc", True, "1.5", 1.5, "1_0")
    ),
    {"boolValue": True},
    {"bytesValue": "MTA="},
    {"arrayValue": {"values": [{"intValue": "5"}]}},
    {"kvlistValue": {"values": []}},
]


def with_value(line: str, name: str, value: dict[str, Any], place: int = 0) -> str:
    """The event of the line with an attribute as its sender spelled it, another event each."""
    content = json.loads(line)
    (record,) = content["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    kept = [pair for pair in record["attributes"] if pair["key"] not in (name, "request_id")]
    record["attributes"] = [
        *kept,
        {"key": name, "value": value},
        {"key": "request_id", "value": {"stringValue": f"told-{name}-{place}"}},
    ]
    return json.dumps(content)


def test_a_count_of_any_type_is_never_lost_silently(store: raw.Store, inbox: Path) -> None:
    names = ("input_tokens", "output_tokens", "cost_usd")
    lines = [
        with_value(LOGS, name, value, place)
        for name in names
        for place, value in enumerate(NO_COUNTS)
        if name != "cost_usd" or value not in ({"intValue": "1.5"}, {"intValue": 1.5})
    ]
    whole = [with_value(LOGS, "input_tokens", {"intValue": n}, 50 + n) for n in (7, 8)]
    whole.append(with_value(LOGS, "input_tokens", {"intValue": "9.0"}, 59))
    (inbox / "a.jsonl").write_text("\n".join([*lines, *whole, ""]))
    assert load(store, inbox) == LoadCounts(rows_new=3, rejected=len(lines))
    assert rows(
        store, "select sum(cast(attributes ->> '$.input_tokens' as bigint)) from raw.otel_logs"
    ) == [(24,)]
    for line in (*lines, *whole):
        said = telemetry.partial("otlp-logs", json.loads(line))
        assert (said.rejected if said else 0) == (line in lines), line


def test_what_is_empty_or_written_as_a_number_with_an_exponent_is_no_poison(
    store: raw.Store, inbox: Path
) -> None:
    fine: list[dict[str, object]] = [
        {"cost_usd": ""},
        {"input_tokens": " "},
        {"input_tokens": " 5 "},
        {"input_tokens": "1e3"},
        {"input_tokens": 7},
    ]
    lines = [event_with(request_id=f"r{n}", **values) for n, values in enumerate(fine)]
    (inbox / "a.jsonl").write_text("\n".join([*lines, ""]))
    assert load(store, inbox) == LoadCounts(rows_new=len(fine))


@pytest.mark.parametrize("value", [-1.0, 1.1e10, 0.5])
def test_a_counter_of_tokens_that_no_session_reaches_is_put_aside(
    store: raw.Store, inbox: Path, value: float
) -> None:
    line = tokens(WORK, {"input": value}, 0, 1)
    (inbox / "a.jsonl").write_text(f"{line}\n{tokens(WORK, {'output': 5}, 0, 1)}\n")
    assert load(store, inbox) == LoadCounts(rows_new=1, rejected=1)
    said = telemetry.partial("otlp-metrics", json.loads(line))
    assert said
    ((reason,),) = rows(store, "select reason from raw.rejected")
    assert reason in said.message


def test_a_clock_far_from_the_receipt_is_put_aside(store: raw.Store, inbox: Path) -> None:
    lines = []
    for day in (datetime(2099, 1, 1, tzinfo=UTC), datetime(1971, 1, 1, tzinfo=UTC)):
        far = session("far", day)
        lines += [request(far, 0, (1, 0, 0, 0)), tokens(far, {"input": 1}, 0, 1)]
    fast = session("fast", datetime.now(UTC) + timedelta(hours=20))
    (inbox / "a.jsonl").write_text("\n".join([*lines, request(fast, 0, (1, 0, 0, 0)), ""]))
    assert load(store, inbox) == LoadCounts(rows_new=1, rejected=4)
    assert rows(store, "select distinct reason from raw.rejected") == [
        ("a time before 2020 or more than a day after its receipt (the clock of the sender)",)
    ]


def test_a_gauge_of_tokens_is_not_added_up(store: raw.Store, inbox: Path) -> None:
    gauge = json.loads(METRICS)
    (metric,) = gauge["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    metric["gauge"] = {"dataPoints": metric.pop("sum")["dataPoints"]}
    (inbox / "a.jsonl").write_text(json.dumps(gauge) + "\n")
    assert load(store, inbox) == LoadCounts(rejected=2)


@pytest.mark.parametrize("kind", ["histogram", "exponentialHistogram"])
def test_of_a_histogram_the_sum_is_loaded(store: raw.Store, inbox: Path, kind: str) -> None:
    until = DAY + timedelta(minutes=1)
    line = clients.counter(
        "copilot-chat", "gen_ai.client.token.usage", [({"gen_ai.token.type": "input"}, 7.0)],
        DAY, until, kind,
    )  # fmt: skip
    empty, unsummed = json.loads(line), json.loads(line)
    for content, count in ((empty, "0"), (unsummed, "2")):
        metric = content["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
        del metric[kind]["dataPoints"][0]["sum"]
        metric[kind]["dataPoints"][0]["count"] = count
    (inbox / "a.jsonl").write_text(
        "".join(f"{each}\n" for each in (line, json.dumps(empty), json.dumps(unsummed)))
    )
    assert load(store, inbox) == LoadCounts(rows_new=1, rejected=2)
    assert rows(
        store,
        "select agent_type, metric_value, observations, temporality from raw.otel_metrics",
    ) == [("github_copilot", 7.0, 1, "delta")]
    assert set(rows(store, "select reason from raw.rejected")) == {
        ("a histogram without observations",),
        ("a histogram without a sum",),
    }


def test_an_event_has_its_name_agent_and_session_however_they_are_sent(
    store: raw.Store, inbox: Path
) -> None:
    lines = [
        clients.codex_event(DAY, "c", (1, 0, 1, 0), "gpt-5.4"),
        *clients.gemini(DAY, DAY, "g", (1, 1, 0, 0, 0), "gemini-2.5-pro", "event details"),
        clients.events("opencode", DAY, {"event.name": "session.created", "session.id": "o"}),
        clients.events("else", DAY, {"gen_ai.conversation.id": "e"}, body="else.done"),
        clients.events("else", DAY, {"session.id": "p"}, name="else.named", body="Some prose."),
    ]
    (inbox / "a.jsonl").write_text("".join(f"{line}\n" for line in lines))
    load(store, inbox)
    assert rows(
        store,
        "select distinct session_id, agent_type, event_name from raw.otel_logs order by 1, 3",
    ) == [
        ("c", "codex", "codex.sse_event"),
        ("e", "else", "else.done"),
        ("g", "gemini_cli", "gemini_cli.api_response"),
        ("g", "gemini_cli", "gen_ai.client.inference.operation.details"),
        ("o", "opencode", "session.created"),
        ("p", "else", "else.named"),
    ]


def test_the_receiver_tells_as_many_as_will_be_put_aside(store: raw.Store, inbox: Path) -> None:
    """Of each body by itself, in JSON and in protobuf, by rules of its own."""
    odd = [
        event_with(**bad) for bad in (*POISONED_EVENTS, {"input_tokens": "1e3"}, {"cost_usd": ""})
    ]
    for day in (datetime(2099, 1, 1, tzinfo=UTC), datetime(1971, 1, 1, tzinfo=UTC), DAY):
        odd += [
            request(session("s", day), 0, (1, 0, 0, 0)),
            tokens(session("s", day), {"input": 1, "output": -1, "cacheRead": 2e10}, 0, 1),
            tokens(
                session("s", day, by=developer(temporality=CUMULATIVE)),
                {"input": 2e10, "output": 2e11},
                0,
                1,
            ),
        ]
    name = "gen_ai.client.token.usage"
    for kind in ("sum", "histogram", "exponentialHistogram"):
        line = json.loads(clients.counter("x", name, [({}, 3.0)], DAY, DAY, kind))
        (metric,) = line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        (point,) = metric[kind]["dataPoints"]
        odd.append(json.dumps(line))
        for changed in ("sum", "asDouble", "timeUnixNano"):
            kept = point.pop(changed, None)
            odd.append(json.dumps(line))
            if kept is not None:
                point[changed] = kept
        metric["name"] = ""
        odd.append(json.dumps(line))
        metric["name"] = "anything"
        metric[kind]["aggregationTemporality"] = 0
        odd.append(json.dumps(line))
        point["flags"] = 1
        odd.append(json.dumps(line))
        metric["summary"] = {"dataPoints": [{"timeUnixNano": point["timeUnixNano"]}]}
        del metric[kind]
        odd.append(json.dumps(line))
    signals = [Signal.METRICS if '"resourceMetrics"' in line else Signal.LOGS for line in odd]
    (inbox / "odd.jsonl").write_text(
        "".join(f"{canonical_json(by(number, line)).line}\n" for number, line in enumerate(odd))
    )
    load(store, inbox)
    put_aside = dict(
        rows(
            store,
            "select split_part(excerpt, ' ', 2), count(*) from raw.rejected group by all",
        )
    )
    for number, (signal, line) in enumerate(zip(signals, odd, strict=True)):
        expected = put_aside.pop(f"sender-{number}", 0)
        body = json.loads(line)
        message = ParseDict(body, rules.OTLP_MESSAGES[signal]())
        for form in (body, message):
            said = telemetry.partial(f"otlp-{signal.value}", form)
            assert (said.rejected if said else 0) == expected, (line, said)
    assert put_aside == {}


def test_of_what_is_no_otlp_the_receiver_tells_what_the_loader_puts_aside() -> None:
    bodies = {
        with_value(LOGS, "x", {"intValue": "abc"}): 1,
        METRICS.replace('"asDouble":10', '"asDouble":"ten"'): 1,
        METRICS.replace('"isMonotonic":true', '"isMonotonic":"true"'): 2,
        METRICS.replace('"timeUnixNano":"', '"timeUnixNano":"-'): 2,
        METRICS.replace('"resourceMetrics":[', '"resourceMetrics":[5,'): 1,
    }
    for body, leaves in bodies.items():
        signal = Signal.METRICS if body.startswith('{"resourceMetrics') else Signal.LOGS
        said = telemetry.partial(f"otlp-{signal.value}", json.loads(body))
        assert said is not None
        assert said.rejected == leaves, body
        found = canonical_json(body.encode(), signal)
        assert telemetry.partial(f"otlp-{signal.value}", json.loads(found.line)) is None
        for each in found.unread:
            reason = each.reason.partition(": ")[2]
            assert reason in said.message
            assert each.excerpt.startswith("from ")


def by(number: int, line: str) -> bytes:
    """The line, told by a sender of its own."""
    content = json.loads(line)
    for resource in content.get("resourceMetrics") or content["resourceLogs"]:
        resource["resource"]["attributes"].append(
            {"key": "developer_id", "value": {"stringValue": f"sender-{number}"}}
        )
    return json.dumps(content).encode()


@pytest.mark.parametrize("signal", list(Signal))
def test_what_is_sent_to_the_address_of_the_other_signal_is_told(signal: Signal) -> None:
    both = json.loads(METRICS) | json.loads(LOGS)
    found = rules.canonical_json(json.dumps(both).encode(), signal)
    assert rules.signal_of(json.loads(found.line)) is signal
    (unread,) = found.unread
    assert unread.reason.startswith("it holds ")
    said = telemetry.partial(f"otlp-{signal.value}", both)
    assert said
    assert said.rejected == 1
    assert telemetry.OTHER_SIGNAL in said.message
    empty = {"resourceMetrics": [], "resourceLogs": []} | json.loads(found.line)
    assert rules.canonical_json(json.dumps(empty).encode(), signal).unread == ()
