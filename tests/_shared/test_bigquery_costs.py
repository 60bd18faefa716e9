"""What a month costs is read from the server's figures, and none is made up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from flows._shared.bigquery_costs import (
    TEBIBYTE,
    JobCost,
    by_model,
    fetch_jobs,
    fetch_jobs_of_project,
    jobs_of_rows,
    month_start,
    project,
    remark,
)
from flows._shared.orchestration.bigquery import BigQueryAccess

NOW = datetime(2025, 11, 11, tzinfo=UTC)
PROJECT = "ledgermind-ml-analytics"
MEBIBYTE = 1 << 20
DBT = {"domain": "ledgermind", "tool": "dbt", "model": "mart_a"}
RESERVATION = "admin-project:US.nightly"


def resource(number: int, kind: str = "query", **given: Any) -> dict[str, Any]:
    """A job as jobs.list has it in the full projection: counts are text, and what is not so is
    not there."""
    labels = given.pop("labels", DBT)
    error = given.pop("error", None)
    outer = {
        name: given.pop(name)
        for name in ("numChildJobs", "parentJobId", "reservation_id", "reservationUsage")
        if name in given
    }
    configuration: dict[str, Any] = {"jobType": kind.upper()}
    configuration[kind] = (
        {"query": "select 1", "useLegacySql": False, "priority": "INTERACTIVE"}
        if kind == "query"
        else {
            "destinationTable": {"projectId": PROJECT, "datasetId": "d", "tableId": "t"},
            "sourceUris": [],
        }
    )
    if labels:
        configuration["labels"] = labels
    created = str(int(NOW.timestamp() * 1000) - number)
    statistics: dict[str, Any] = {
        "creationTime": created,
        "startTime": created,
        "endTime": created,
        **outer,
    }
    if given:
        statistics[kind] = given
    return {
        "kind": "bigquery#job",
        "id": f"{PROJECT}:US.job_{number}",
        "jobReference": {"projectId": PROJECT, "jobId": f"job_{number}", "location": "US"},
        "user_email": f"dbt-runner@{PROJECT}.iam.example",
        "state": "DONE",
        "status": {"state": "DONE", **({"errorResult": error, "errors": [error]} if error else {})},
        "configuration": configuration,
        "statistics": statistics,
        **({"errorResult": error} if error else {}),
    }


def figures(billed: int, slots: int, statement: str = "SELECT", **more: Any) -> dict[str, Any]:
    return {
        "statementType": statement,
        "cacheHit": False,
        "totalBytesProcessed": str(billed),
        "totalBytesBilled": str(billed),
        "billingTier": 1,
        "totalSlotMs": str(slots),
        **more,
    }


REFUSED = {"reason": "bytesBilledLimitExceeded", "message": "limit exceeded", "location": "query"}
STOPPED = {"reason": "stopped", "message": "Job execution was cancelled"}
INVALID = {"reason": "invalidQuery", "message": "Syntax error", "location": "query"}
JOBS = [
    resource(1, **figures(10 * MEBIBYTE, 900)),
    resource(2, **figures(0, 0, cacheHit=True, totalBytesProcessed="0")),
    # A script: its own figures are the sums of its statements'.
    resource(3, **figures(40 * MEBIBYTE, 2_000, "SCRIPT"), numChildJobs="3"),
    # DDL that reads nothing has no billing tier and no slots.
    resource(4, statementType="CREATE_VIEW", totalBytesBilled="0", totalBytesProcessed="0"),
    # Refused before it read, wrong before it read, stopped after it had read.
    resource(5, error=REFUSED, statementType="SELECT"),
    resource(6, error=INVALID),
    resource(7, error=STOPPED, **figures(20 * MEBIBYTE, 100)),
    # On a reservation bytes are told, too, and are not what is paid.
    resource(8, **figures(500 * MEBIBYTE, 60_000), reservation_id=RESERVATION),
    resource(
        9,
        **figures(300 * MEBIBYTE, 30_000),
        reservationUsage=[{"name": RESERVATION, "slotMs": "30000"}],
    ),
    resource(
        10,
        **figures(30 * MEBIBYTE, 300, "MERGE"),
        labels={**DBT, "model": "mart_b"},
        reservationUsage=[{"name": "unreserved", "slotMs": "300"}],
    ),
    resource(11, labels={"domain": "ledgermind", "tool": "export"}, **figures(MEBIBYTE * 10, 7)),
    resource(12, labels={"domain": "github_scraper"}, **figures(999 * MEBIBYTE, 9)),
    resource(13, labels=None, **figures(999 * MEBIBYTE, 9)),
    resource(14, kind="load", inputFiles="1", outputRows="3"),
]
EXPECTED = [
    ("mart_a", 9, 5, 1, 3, 2, 70 * MEBIBYTE, 93.0),
    ("mart_b", 1, 1, 0, 0, 0, 30 * MEBIBYTE, 0.3),
    ("(no label)", 1, 1, 0, 0, 0, 10 * MEBIBYTE, 0.007),
]


class Google(BaseHTTPRequestHandler):
    """Two jobs a page, as jobs.list gives them, and rows of a query as jobs.query does."""

    asked: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if not self.path.partition("?")[0].endswith("/jobs"):
            self._answer(ROWS_ANSWER)
            return
        first = int(parse_qs(urlsplit(self.path).query).get("pageToken", ["0"])[0])
        page: dict[str, Any] = {"kind": "bigquery#jobList", "jobs": JOBS[first : first + 2]}
        if first + 2 < len(JOBS):
            page["nextPageToken"] = str(first + 2)
        self._answer(page)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(body)
        self._answer(ROWS_ANSWER)

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def jobs_of_a_month() -> Iterator[str]:
    """The address of a BigQuery that had these jobs."""
    Google.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Google)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def google() -> Iterator[bigquery.Client]:
    with jobs_of_a_month() as address:
        yield bigquery.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=address),
            location="US",
        )


def job(model: str, billed: int | None, slots: int | None = 1500) -> JobCost:
    return JobCost(model, NOW, billed, slots)


def seen(jobs: Iterator[JobCost]) -> list[tuple[Any, ...]]:
    return [tuple(vars(cost).values())[:-1] for cost in by_model(jobs, 6.25)]


def test_jobs_of_every_shape_are_counted_once_and_only_what_was_billed_has_a_price(
    google: bigquery.Client,
) -> None:
    since = month_start(NOW)
    assert seen(fetch_jobs(google, "ledgermind", since)) == EXPECTED
    pages = [parse_qs(urlsplit(path).query) for path in Google.asked]
    assert len(pages) == len(JOBS) / 2, "no job was asked for by itself"
    assert {page["projection"][0] for page in pages} == {"full"}
    assert {page["minCreationTime"][0] for page in pages} == {str(int(since.timestamp() * 1000))}

    costs = by_model(fetch_jobs(google, "ledgermind", since), 6.25)
    assert [cost.usd for cost in costs] == [0.000417, 0.000179, 0.00006]
    assert remark(costs) == (
        "2 jobs ran on a reservation, which is billed by its capacity; "
        "2 jobs have no figure; 3 jobs failed"
    )


ROW = {
    "creation_time": NOW,
    "labels": [{"key": name, "value": value} for name, value in DBT.items()],
    "total_bytes_billed": 10 * MEBIBYTE,
    "total_slot_ms": 900,
    "cache_hit": False,
    "error_result": None,
    "parent_job_id": None,
    "reservation_id": None,
}


def test_rows_of_information_schema_count_a_script_once_and_know_reservations() -> None:
    failed = {"reason": "invalidQuery", "location": "query", "debug_info": "", "message": "x"}
    rows: list[dict[str, Any]] = [
        ROW,
        {**ROW, "cache_hit": True, "total_bytes_billed": 0, "total_slot_ms": None},
        {**ROW, "total_bytes_billed": 40 * MEBIBYTE, "cache_hit": None},
        {**ROW, "total_bytes_billed": 15 * MEBIBYTE, "parent_job_id": "script_job_0"},
        {**ROW, "total_bytes_billed": 25 * MEBIBYTE, "parent_job_id": "script_job_0"},
        {**ROW, "total_bytes_billed": None, "total_slot_ms": None, "error_result": failed},
        {**ROW, "total_bytes_billed": 7 * MEBIBYTE, "reservation_id": RESERVATION},
        {**ROW, "labels": [{"key": "domain", "value": "ledgermind"}]},
        {**ROW, "labels": [{"key": "domain", "value": "scout"}]},
        {**ROW, "labels": []},
        {**ROW, "labels": None},
    ]
    assert seen(jobs_of_rows(rows, "ledgermind")) == [
        ("mart_a", 5, 3, 1, 1, 1, 50 * MEBIBYTE, 2.7),
        ("(no label)", 1, 1, 0, 0, 0, 10 * MEBIBYTE, 0.9),
    ]


def cells(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the API gives it."""
    labels = [{"v": {"f": [{"v": label["key"]}, {"v": label["value"]}]}} for label in row["labels"]]
    values = [
        str(int(row["creation_time"].timestamp() * 1_000_000)),
        labels,
        str(row["total_bytes_billed"]),
        str(row["total_slot_ms"]),
        "false",
        row["error_result"],
        None,
        row["reservation_id"],
    ]
    return {"f": [{"v": value} for value in values]}


def field(name: str, kind: str, mode: str = "NULLABLE", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "mode": mode, **more}


ROWS_ANSWER = {
    "kind": "bigquery#queryResponse",
    "jobReference": {"projectId": PROJECT, "jobId": "costs", "location": "US"},
    "jobComplete": True,
    "totalRows": "2",
    "totalBytesProcessed": "10485760",
    "cacheHit": False,
    "schema": {
        "fields": [
            field("creation_time", "TIMESTAMP"),
            field(
                "labels",
                "RECORD",
                "REPEATED",
                fields=[field("key", "STRING"), field("value", "STRING")],
            ),
            field("total_bytes_billed", "INTEGER"),
            field("total_slot_ms", "INTEGER"),
            field("cache_hit", "BOOLEAN"),
            field("error_result", "RECORD", fields=[field("reason", "STRING")]),
            field("parent_job_id", "STRING"),
            field("reservation_id", "STRING"),
        ]
    },
    "rows": [cells(ROW), cells({**ROW, "reservation_id": RESERVATION})],
    "configuration": {"jobType": "QUERY", "query": {"query": "select 1"}},
    "status": {"state": "DONE"},
    "statistics": {},
}


def test_all_logins_of_a_project_are_asked_for_with_one_query(google: bigquery.Client) -> None:
    found = seen(fetch_jobs_of_project(google, "ledgermind", month_start(NOW), "US"))
    assert found == [("mart_a", 2, 1, 0, 0, 1, 10 * MEBIBYTE, 1.8)]
    asked = next(body for body in Google.asked if "INFORMATION_SCHEMA" in body)
    assert "`region-us`.INFORMATION_SCHEMA.JOBS" in asked
    assert "2025-11-01 00:00:00+00:00" in asked


def test_bytes_and_slots_add_up_by_model_with_the_dearest_first() -> None:
    costs = by_model([job("a", TEBIBYTE), job("b", 3 * TEBIBYTE), job("a", None, None)], 6.25)
    assert [(c.model, c.jobs, c.jobs_told, c.usd, c.slot_seconds) for c in costs] == [
        ("b", 1, 1, 18.75, 1.5),
        ("a", 2, 1, 6.25, 1.5),
    ]


def test_a_pace_above_the_budget_is_exceeded_and_one_below_is_not() -> None:
    ten_days = by_model([job("a", 3 * TEBIBYTE)], 6.0)
    budget = project(ten_days, 50.0, NOW)
    assert budget is not None
    assert budget.spent_usd == pytest.approx(18.0)
    assert budget.projected_usd == pytest.approx(54.0)
    assert budget.is_exceeded
    within = project(ten_days, 55.0, NOW)
    assert within is not None
    assert not within.is_exceeded


def test_the_first_hour_of_a_month_is_not_multiplied_by_720() -> None:
    budget = project(
        by_model([job("a", TEBIBYTE)], 1.0), 50.0, datetime(2025, 11, 1, 1, tzinfo=UTC)
    )
    assert budget is not None
    assert budget.projected_usd == pytest.approx(30.0)


def test_without_a_figure_from_the_server_there_is_no_sum_and_no_projection(
    bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    client = BigQueryAccess("ledgermind-ml-analytics", "US").client()
    for domain in ("costs-test", "another"):
        labels = {"domain": domain, "model": "mart_of_costs"}
        client.query("select 1", job_config=bigquery.QueryJobConfig(labels=labels)).result()
    # The emulator keeps no labels (bqemulator 1.4.0): none of its jobs is this domain's.
    assert list(fetch_jobs(client, "costs-test", month_start(datetime.now(UTC)))) == []
    (cost,) = by_model([job("mart_of_costs", None, None)], 6.25)
    assert (cost.jobs, cost.jobs_told) == (1, 0)
    assert (cost.bytes_billed, cost.slot_seconds, cost.usd) == (None, None, None)
    assert project([cost], 50.0, NOW) is None
