"""No body takes a run's memory, and none stops those behind it."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from flows.agent_analytics import raw, rules
from flows.agent_analytics.records import Canonical, LoadCounts, StoreMemoryError
from flows.agent_analytics.sync import load_deliveries, load_telemetry
from tests.agent_analytics.fleet import request, session
from tests.agent_analytics.test_inbox import DAY, MEGABYTE, post, rows, store
from tests.heavy import measured
from tests.webhooks.harness import Running

__all__ = ["store"]

MOST_MEBIBYTES = 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("batch", "all of it", marks=pytest.mark.exhaustive),
        pytest.param("unfit_records", "and 580,000 more", marks=pytest.mark.exhaustive),
        ("more_unfit_records", "more than 1,200,000 values"),
        ("unfit_scopes", "and 135,000 more"),
        ("keys", "an object has more than 50,000 keys"),
        pytest.param("protobuf_scopes", "all of it", marks=pytest.mark.exhaustive),
        ("more_protobuf_scopes", "more than 1,200,000 values"),
    ],
)
def test_reading_a_request_takes_bounded_memory(body: str, said: str) -> None:
    told, mebibytes = measured("loader", body)
    assert told == said
    assert mebibytes < MOST_MEBIBYTES


def test_what_holds_too_much_is_put_aside_alone(
    receiver: Running,
    inbox_url: str,
    store: raw.Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deliveries, lines and messages of a collector; what stands behind each is loaded."""
    good = request(session("s", DAY), 1, (1, 2, 3, 4))
    large = f'{{"resourceLogs":[{"{}," * 400}{{}}]}}'
    unpacked = bytes(ParseDict(json.loads(large), ExportLogsServiceRequest()).SerializeToString())
    for body in (large, good):
        assert post(receiver, "/v1/logs", body.encode()) == 200
    protobuf = {"Content-Type": "application/x-protobuf"}
    assert post(receiver, "/v1/logs", unpacked, **protobuf) == 200
    assert post(receiver, "/v1/commits", f'{{"commits":[{"{}," * 400}{{}}]}}'.encode()) == 202
    for module in ("otlp", "rows"):
        monkeypatch.setattr(f"flows.agent_analytics.rules.{module}.MOST_VALUES", 300)
    assert load_deliveries(store, inbox_url, MEGABYTE) == LoadCounts(rows_new=1, rejected=3)
    reason = "select distinct reason from raw.rejected"
    assert rows(store, reason) == [("more than 300 values",)]
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.jsonl").write_text(f"{large}\nwords\n{good}\n")
    length = len(unpacked).to_bytes(4, "big")
    (folder / "logs.pb").write_bytes(length + unpacked + length + unpacked)
    counts = load_telemetry(store, [str(folder)], MEGABYTE)
    assert counts == LoadCounts(rows_repeated=1, rejected=4)


LITTLE = "64MB"
# DuckDB reads in blocks of twice the longest line.
TOO_LARGE = (
    '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1772445600000000000",'
    f'"body":{{"stringValue":"{"x" * 24_000_000}"}}}}]}}]}}]}}'
)


def test_a_line_that_duckdb_has_no_memory_for_is_put_aside_alone(
    store: raw.Store, inbox: Path
) -> None:
    good = [request(session(name, DAY), 1, (1, 2, 3, 4)) for name in "ab"]
    (inbox / "a.jsonl").write_text("\n".join((good[0], TOO_LARGE, "words", good[1], "")))
    little = raw.Store(store.path, threads=1, memory=LITTLE)
    assert load_telemetry(little, [str(inbox)], MEGABYTE) == LoadCounts(rows_new=2, rejected=2)
    reasons = [reason for (reason,) in rows(store, "select reason from raw.rejected order by 1")]
    assert reasons[0].startswith("a request for which memory does not suffice: Out of Memory Error")
    assert load_telemetry(little, [str(inbox)], MEGABYTE) == LoadCounts(), "it is not read again"


def test_a_delivery_that_duckdb_has_no_memory_for_is_put_aside_alone(
    receiver: Running, inbox_url: str, store: raw.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = (request(session(name, DAY), 1, (1, 2, 3, 4)) for name in "ab")
    for body in (good, TOO_LARGE.replace("x" * 24_000_000, "words"), other):
        assert post(receiver, "/v1/logs", body.encode()) == 200

    def larger(*given: Any) -> Canonical:
        """What of protobuf is short is ten times as long as JSON."""
        line = rules.canonical_line(*given).line
        return Canonical(line.replace("words", "x" * 24_000_000))

    monkeypatch.setattr("flows.agent_analytics.source.inbox.canonical_line", larger)
    little = raw.Store(store.path, threads=1, memory=LITTLE)
    assert load_deliveries(little, inbox_url, MEGABYTE) == LoadCounts(rows_new=2, rejected=1)
    assert load_deliveries(little, inbox_url, MEGABYTE) == LoadCounts()


def test_where_memory_suffices_for_no_line_nothing_is_put_aside_and_the_limit_is_named(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "a.jsonl").write_text(f"{request(session('a', DAY), 1, (1, 2, 3, 4))}\n")
    with store.connect() as connection:
        raw.ensure_schema(connection)
    tiny = raw.Store(store.path, memory="12MB")
    with pytest.raises(StoreMemoryError, match="the 12MB that DuckDB may use do not suffice"):
        load_telemetry(tiny, [str(inbox)], MEGABYTE)
    assert load_telemetry(store, [str(inbox)], MEGABYTE) == LoadCounts(rows_new=1)


def test_lines_between_which_traces_stand_are_loaded_as_they_are(
    store: raw.Store, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the traces is read line by line."""
    traces = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}'
    good = [request(session(str(n), DAY), 1, (1, 2, 3, 4)) for n in range(20)]
    (inbox / "a.jsonl").write_text("".join(f"{each}\n{traces}\n" for each in good))
    read: list[bytes] = []

    def told(line: bytes) -> list[Canonical]:
        read.append(line)
        return rules.otel_lines(line)

    monkeypatch.setattr("flows.agent_analytics.source.lines.otel_lines", told)
    assert load_telemetry(store, [str(inbox)], MEGABYTE) == LoadCounts(rows_new=20, rejected=20)
    assert {line.strip() for line in read} == {traces.encode()}
    reasons = "select distinct reason from raw.rejected"
    assert rows(store, reasons) == [("neither resourceMetrics nor resourceLogs",)]
