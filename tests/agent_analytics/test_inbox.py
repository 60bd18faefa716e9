"""Telemetry and commits that come by HTTP: a real exporter, the real receiver, the marts."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import requests
from google.protobuf.json_format import MessageToJson
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from flows._shared.postgres import DatabaseUnreachableError
from flows.agent_analytics import raw
from flows.agent_analytics.records import LoadCounts
from flows.agent_analytics.sync import load_deliveries
from tests.agent_analytics.fleet import Marts, commit, request, session, tokens
from tests.webhooks.harness import SECRET, Running, token_headers

DAY = datetime(2026, 3, 2, tzinfo=UTC)
MEGABYTE = 1_000_000
RESOURCE = Resource({"service.name": "claude-code", "developer_id": "ada"})


@pytest.fixture
def store(tmp_path: Path, inbox_url: str) -> raw.Store:
    """A store that has seen all that other tests sent."""
    store = raw.Store(tmp_path / "store.duckdb")
    load_deliveries(store, inbox_url, MEGABYTE)
    with store.connect() as connection:
        for table in ("otel_points", "otel_counters", "otel_logs", "git_commits", "rejected"):
            connection.execute(f"delete from raw.{table}")
    return store


def rows(store: raw.Store, statement: str) -> list[tuple[Any, ...]]:
    with store.connect() as connection:
        return connection.execute(statement).fetchall()


def post(receiver: Running, path: str, body: bytes, **headers: str) -> int:
    answer = httpx.post(f"{receiver.url}{path}", content=body, headers=token_headers(**headers))
    return answer.status_code


def test_what_a_real_sdk_exports_reaches_the_marts_through_a_restart_and_a_resend(
    receiver: Running,
    inbox_url: str,
    store: raw.Store,
    tmp_path: Path,
) -> None:
    kept: list[bytes] = []
    headers = {"Authorization": f"Bearer {SECRET}"}
    http = requests.Session()
    http.hooks["response"].append(lambda answer, **_: kept.append(answer.request.body))
    metrics = OTLPMetricExporter(
        f"{receiver.url}/v1/metrics",
        headers=headers,
        compression=Compression.Gzip,
        session=http,
    )
    reader = PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], RESOURCE)
    logs = LoggerProvider(RESOURCE)
    logs.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(f"{receiver.url}/v1/logs", headers=headers))
    )
    counter = provider.get_meter("m").create_counter("claude_code.token.usage", "tokens")
    labels = {"session.id": "by-metrics", "model": "claude-opus-4-5"}
    counter.add(1_000_000, {**labels, "type": "input"})
    provider.force_flush()
    load_deliveries(store, inbox_url, MEGABYTE)
    receiver.kill()
    counter.add(500_000, {**labels, "type": "input"})
    receiver.again()
    counter.add(10, {**labels, "type": "output"})
    provider.force_flush()
    logs.get_logger("events").emit(
        body="claude_code.api_request",
        timestamp=1_772_442_000_000_000_000,
        attributes={
            "session.id": "by-events",
            "event.name": "api_request",
            "model": "claude-sonnet-4-5",
            "input_tokens": "1000000",
            "request_id": "r1",
        },
    )
    logs.shutdown()
    provider.shutdown()
    assert len(kept) == 3
    for body in kept:  # An answer that is lost makes an exporter send again; a proxy, other bytes.
        protobuf = {"Content-Type": PROTOBUF}
        assert (
            post(receiver, "/v1/metrics", body, **protobuf, **{"Content-Encoding": "gzip"}) == 200
        )
        message = ExportMetricsServiceRequest.FromString(gzip.decompress(body))
        line = MessageToJson(message).encode()
        assert post(receiver, "/v1/metrics", line) == 200
    load_deliveries(store, inbox_url, MEGABYTE)
    assert load_deliveries(store, inbox_url, MEGABYTE) == LoadCounts()

    marts = Marts(store, tmp_path)
    marts.run_to("int_sessions_with_costs")
    assert marts.query(
        "select session_id, total_input_tokens, total_output_tokens, "
        "cast(session_cost_usd as double) "
        "from intermediate.int_sessions_with_costs order by 1"
    ) == [("by-events", 1_000_000, 0, 6.0), ("by-metrics", 1_500_000, 10, pytest.approx(7.50025))]


PROTOBUF = "application/x-protobuf"


def test_bodies_of_every_path_load_and_bad_ones_are_kept_with_a_reason(
    receiver: Running,
    inbox_url: str,
    store: raw.Store,
) -> None:
    work = session("s", DAY)
    both = {
        **json.loads(tokens(work, {"input": 1}, 0, 1)),
        **json.loads(request(work, 1, (1, 2, 3, 4))),
    }
    assert post(receiver, "/v1/otel", json.dumps(both, indent=1).encode()) == 200
    one, two, three = (commit(n, DAY + timedelta(hours=n)) for n in (1, 2, 3))
    for body in (one, {"commits": [two, {**three, "commit_hash": "xyz"}]}, [one, three]):
        assert post(receiver, "/v1/commits", json.dumps(body).encode()) == 202
    odd = {"resourceMetrics": [{"scopeMetrics": "none"}]}
    assert post(receiver, "/v1/metrics", json.dumps(odd).encode()) == 200
    half = json.loads(request(work, 2, (5, 6, 7, 8)))
    records = half["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    odd_pair = {"key": "x", "value": {"intValue": "abc"}}
    records.append({**records[0], "attributes": [*records[0]["attributes"], odd_pair]})
    answer = httpx.post(f"{receiver.url}/v1/logs", json=half, headers=token_headers())
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] in (1, "1")
    assert "`intValue` that is no whole number" in answer.json()["partialSuccess"]["errorMessage"]

    counts = load_deliveries(store, inbox_url, 1)
    assert counts == LoadCounts(rows_new=6, rows_repeated=1, rejected=3)
    commits, logs, metrics = rows(
        store, "select source, reason, excerpt from raw.rejected order by reason"
    )
    assert commits[1] == "not such a row: commit_hash is not a commit hash"
    assert metrics[1] == "not the shape of OTLP metrics: `scopeMetrics` that is no list"
    assert logs[1].startswith("not the shape of OTLP logs: `intValue` that is no whole number")
    assert logs[2].startswith("from dev1@work.example: {")
    assert commits[0].startswith("delivery ")


def test_a_load_that_fails_half_way_begins_again_where_it_was(
    receiver: Running,
    inbox_url: str,
    store: raw.Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = session("half", DAY)
    for minute in range(4):
        line = tokens(work, {"input": minute}, minute, minute + 1)
        assert post(receiver, "/v1/metrics", line.encode()) == 200

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(raw, "record_consumed", fail)
        with pytest.raises(KeyboardInterrupt):
            load_deliveries(store, inbox_url, MEGABYTE)
    assert rows(store, "select count(*) from raw.otel_metrics") == [(0,)]
    assert load_deliveries(store, inbox_url, MEGABYTE) == LoadCounts(rows_new=4)


def test_an_inbox_that_is_gone_is_a_bad_moment_and_one_without_a_receiver_is_empty(
    store: raw.Store, database: str
) -> None:
    with pytest.raises(DatabaseUnreachableError):
        load_deliveries(store, "postgresql://127.0.0.1:9/none", MEGABYTE)
    assert load_deliveries(store, database, MEGABYTE) == LoadCounts()
    with psycopg.connect(database) as connection:
        assert connection.execute("select to_regnamespace('webhooks')").fetchone() == (None,)
