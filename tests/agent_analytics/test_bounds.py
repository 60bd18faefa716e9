"""No body takes a run's memory, and none stops those behind it."""

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from flows.agent_analytics import raw
from flows.agent_analytics.records import LoadCounts
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
        ("batch", "all of it"),
        ("unfit_records", "and 580,000 more"),
        ("more_unfit_records", "more than 1,200,000 values"),
        ("unfit_scopes", "and 135,000 more"),
        ("keys", "an object has more than 50,000 keys"),
        ("protobuf_scopes", "all of it"),
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
