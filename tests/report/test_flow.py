"""The flow on a real server: it reads what is there, says what is not, and publishes."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed, Running, Scheduled

from blocks.registration import register
from deployments.local.paths import LocalPaths
from deployments.local.report import address_of, make_report
from flows.report.operations import PROJECT_TAG, ask_the_server, report
from flows.report.records import DOMAINS
from flows.report.settings import ReportSettings
from tests.report.made_rows import contracts
from tests.report.shown import Shown, files_of


def fill(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema gold")
        for contract in contracts("scout"):
            connection.execute(contract.ddl.encode())
            row = contract.row()
            marks = ", ".join(["%s"] * len(row))
            statement = f"insert into {contract.relation} values ({marks})"
            connection.execute(statement.encode(), list(row.values()))


def test_a_domain_without_a_block_and_one_whose_database_is_away_stop_no_other(
    prefect_server: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    monkeypatch.setattr("flows.report.operations.read_domain.retries", 0)
    away = "postgresql://somebody:a-secret-word@127.0.0.1:9/nowhere"
    register(["scout"], {"SCOUT_DATABASE_URL": database})
    register(["quality_compass"], {"QUALITY_COMPASS_DATABASE_URL": away})
    settings = ReportSettings(destination=str(tmp_path), agents_file=tmp_path / "none.duckdb")
    state = report(settings, return_state=True)
    assert state.is_completed(), state.message

    (version,) = (tmp_path / "versions").iterdir()
    pages = {path.stem: Shown(path.read_text()) for path in version.glob("*.html")}
    assert "has not been built yet" in pages["github_scraper"].headline
    assert pages["quality_compass"].headline == "Quality Compass could not be read"
    assert "in November 2026 so far, the largest part some text" in pages["scout"].headline
    assert pages["operations"].headline != "The Prefect server could not be asked"
    assert all(b"a-secret-word" not in path.read_bytes() for path in version.rglob("*.*"))
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        artifact, link = (
            client.read_artifacts(
                artifact_filter=ArtifactFilter(
                    key=ArtifactFilterKey(any_=[key]),
                    flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]),
                )
            )[0]
            for key in ("report", "scout-report")
        )
    assert link.data == f"Scout in the report: `{tmp_path}/latest/scout.html`"
    told = {row["page"]: row["says"] for row in json.loads(str(artifact.data))}
    assert " ".join(told["Scout"].split()) == pages["scout"].headline
    assert str(tmp_path) in str(artifact.description)


def test_the_command_makes_the_report_of_what_is_on_this_machine(
    prefect_server: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    published = make_report(LocalPaths(tmp_path / "state"), str(tmp_path / "site"))
    assert address_of(published) == (tmp_path / "site" / "index.html").as_uri()
    version = tmp_path / "site" / "versions" / published.version
    pages = {path.stem: Shown(path.read_text()) for path in version.glob("*.html")}
    assert "in November 2026 so far, the largest part some text" in pages["scout"].headline
    assert "has not been built yet" in pages["ledgermind"].headline
    assert "could not be asked" not in pages["operations"].headline

    monkeypatch.delenv("PREFECT_API_URL")
    without = make_report(LocalPaths(tmp_path / "state"), str(tmp_path / "site"))
    page = tmp_path / "site" / "versions" / without.version / "operations.html"
    assert "`flows up` starts it" in Shown(page.read_text()).parts[""].text


def test_runs_to_come_hide_no_run_that_was_and_none_that_nobody_takes_up(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer runs are asked for than the server has made for the days to come."""
    monkeypatch.setattr("flows.report.source.RUNS", 2)

    @flow
    def nothing_to_do() -> None: ...

    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(nothing_to_do)
        made = {
            name: client.create_deployment(flow_id, name, tags=[PROJECT_TAG])
            for name in ("rare-daily", "often-15m", "late-6h", "never-manual")
        }

        def run(name: str, *states: State[Any], due: datetime = now) -> None:
            first: State[Any] = Scheduled(scheduled_time=due)
            made_run = client.create_flow_run_from_deployment(made[name], state=first)
            for state in states:
                client.set_flow_run_state(made_run.id, state, force=True)

        run("rare-daily", Running(), Failed(message="it broke"))
        for _ in range(2):
            run("often-15m", Running(), Completed())
        for hours in range(3):
            run("often-15m", due=now + timedelta(hours=1 + hours))
        for _ in range(3):
            run("late-6h", due=now - timedelta(hours=2))
        run("often-15m", due=now - timedelta(minutes=2))
        try:
            shown = Shown(files_of(operated=ask_the_server.fn())["operations.html"].decode())
        finally:
            for deployment_id in made.values():
                client.delete_deployment(deployment_id)
    # Other tests of this server leave deployments and runs.
    rows = {
        part: [each for each in shown.parts[part].records() if each["Deployment"] in made]
        for part in ("deployments", "waiting")
    }
    last = {row["Deployment"]: row["State"] for row in rows["deployments"]}
    assert last == {"rare-daily": "Failed", "often-15m": "Completed"}
    assert [row["Deployment"] for row in rows["waiting"]] == ["late-6h"] * 3
    assert re.search(r"\d+ runs? waits? to be taken up, the first of late-6h", shown.parts[""].text)


def forget_what_builds_said(*names: str) -> None:
    """Flows of other tests have said it on this server."""
    keys = {"key": {"any_": [f"{name}-freshness" for name in names]}}
    with get_client(sync_client=True) as client:
        for told in client.request("POST", "/artifacts/filter", json={"artifacts": keys}).json():
            client.request("DELETE", "/artifacts/{id}", path_params={"id": told["id"]})


def test_the_server_is_asked_which_sources_are_late(prefect_server: str) -> None:
    source = {"kind": "source", "name": "raw_node_results", "newest": "2020-01-01T00:00:00Z"}
    fresh = [source | {"warn_after": 3600.0, "error_after": None}]
    fresh += [{"kind": "mart", "name": "fct_signals", "is_current": True}]

    @flow(name="quality-compass")
    def went_well() -> None:
        create_table_artifact(key="quality-compass-freshness", table=fresh)

    @flow(name="agent-analytics")
    def builds(mart: str, publishes: bool, fails: bool) -> None:
        told = {"kind": "mart", "name": mart, "is_current": True}
        create_table_artifact(key="agent-analytics-freshness", table=[told])
        progress = {"phase": "publish" if publishes else "build", "done": 1}
        create_table_artifact(key="agent-analytics-progress", table=[progress])
        assert not fails

    forget_what_builds_said("quality-compass", "agent-analytics")
    went_well()
    # Each publishes what those before it have made, too.
    for mart, publishes, fails in (
        ("dim_before", False, True),
        ("dim_published", True, True),
        ("dim_before_too", False, True),
        ("dim_of_a_good_end", False, False),
        ("dim_not_published", False, True),
    ):
        builds(mart, publishes, fails, return_state=True)
    shown = Shown(files_of(operated=ask_the_server.fn())["operations.html"].decode())
    rows = [
        (row["Of"], row["Late?"], " ".join(row["Why"].split()[:3]))
        for row in shown.parts["freshness"].records()
        if row["Domain"] == "Quality Compass"
    ]
    assert rows == [
        ("source", "late", "Last loaded 2020-01-01"),
        ("runs", "in time", "The last run"),
        ("mart", "in time", "Of a build"),
    ]
    marts = {
        row["What"].split()[-1]: row["Why"].split(";")[0]
        for row in shown.parts["freshness"].records()
        if row["Domain"] == DOMAINS["agent_analytics"] and row["Of"] == "mart"
    }
    assert marts.pop("dim_not_published") == "None that is known was published"
    assert len(marts) == 4
    assert all(why.startswith("Of a build ") for why in marts.values())
    late = "1 source of Quality Compass is late: node results (last loaded 2,"
    assert late in shown.parts[""].text
