"""The flows on a real server: load, build, publish, report; a file that breaks on the way."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
from prefect.blocks.system import Secret

from deployments.cli.app import main
from deployments.local import commands
from flows._shared.markdown import plain
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows.agent_analytics import flow as agent_flow
from flows.agent_analytics.flow import refresh, refresh_copilot, report
from flows.agent_analytics.settings import (
    PATH_VARIABLE,
    AgentAnalyticsInputs,
    AgentAnalyticsSettings,
    SampleSize,
)
from tests.agent_analytics.copilot_api import running
from tests.agent_analytics.fleet import request, session
from tests.parsed import begin_parsed
from tests.told import (
    artifacts_of,
    assert_freshness_is_told,
    landed_in,
    measures_of,
    rows_of,
    run_id_of,
)

pytestmark = pytest.mark.in_order

INPUTS = AgentAnalyticsInputs(sample=SampleSize(days=4, developers=12, seed=1))
TOKEN_BLOCK = "agent-analytics-tests-copilot-token"


@dataclass
class Ran:
    """A store that the first run has filled and published."""

    settings: AgentAnalyticsSettings
    figures: dict[str, Any]
    budgets: list[dict[str, Any]]
    run_id: UUID

    @property
    def published(self) -> Path:
        path = self.settings.store_path
        return path.parent / "published" / path.name

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.published), read_only=True) as connection:
            return connection.execute(statement).fetchall()

    def marts(self) -> list[Any]:
        return [
            self.query(f"select * from mart.{table} order by all")
            for table in ("fct_daily_agent_usage", "fct_git_commits", "fct_agent_costs")
        ]


@pytest.fixture(scope="module")
def ran(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("agents")
    settings = AgentAnalyticsSettings(
        database_path=folder / "agents.duckdb",
        inbox_block="agent-analytics-tests-no-such-block",
        copilot_token_block=TOKEN_BLOCK,
        organization="acme",
    )
    Secret(value="the-token").save(TOKEN_BLOCK, overwrite=True)
    # Unit tests are the business of tests/dbt_projects.
    tested = DbtOptions(exclude=("resource_type:unit_test",))
    state = refresh(INPUTS, settings, tested, return_state=True)
    assert state.is_completed(), state.message
    budgets = rows_of(state, "agent-analytics-budgets")
    return Ran(settings, measures_of(state, "agent-analytics"), budgets, run_id_of(state))


def test_what_was_loaded_is_published_and_told(ran: Ran) -> None:
    counts = {
        table: ran.query(f"select count(*) from raw.{table}")[0][0]
        for table in ("otel_metrics", "otel_logs", "git_commits", "copilot_metrics")
    }
    assert sum(counts.values()) == ran.figures["rows_loaded"]
    assert_freshness_is_told(ran.run_id, "agent_analytics")
    told = landed_in(ran.run_id, "agent_analytics", lambda told: len(told) == len(counts))
    assert {table: payload["rows"] for table, payload in told.items()} == counts
    newest = ran.query("select max(timestamp) from raw.otel_metrics")[0][0]
    assert told["otel_metrics"]["max_timestamp"] == f"{newest.isoformat()}Z"


def test_the_month_of_who_has_a_budget_is_told_beside_it(ran: Ran) -> None:
    forecast = ran.query(
        "select developer_id, month_start, month_to_date_cost_usd, forecast_cost_usd, "
        "monthly_budget_usd, budget_status from mart.fct_cost_forecast "
        "where monthly_budget_usd is not null "
        "order by developer_id"
    )
    assert forecast
    told = [(row["month"], row["spent_usd"], row["projected_usd"]) for row in ran.budgets]
    assert told == [
        (f"{month:%Y-%m}", float(spent), float(pace)) for _, month, spent, pace, *_ in forecast
    ]
    assert [row["status"] for row in ran.budgets] == [each[5] for each in forecast]
    assert [row["budget_usd"] for row in ran.budgets] == [float(each[4]) for each in forecast]
    assert [row["name"] for row in ran.budgets] == [
        "coding agents, all developers" if developer == "all" else f"coding agents of {developer}"
        for developer, *_ in forecast
    ]


def test_a_file_that_breaks_while_it_is_built_is_restored_and_the_run_ends_well(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = ran.marts()
    builds: list[int] = []

    def break_first(*arguments: Any, **options: Any) -> Any:
        if not builds:
            content = bytearray(ran.settings.store_path.read_bytes())
            for block in range(len(content) // 4, len(content) - 4096, 65_536):
                content[block : block + 512] = b"\xff" * 512
            ran.settings.store_path.write_bytes(content)
        builds.append(1)
        return build_dbt(*arguments, **options)

    monkeypatch.setattr(agent_flow.tasks, "build_dbt", break_first)
    models = DbtOptions(exclude=("resource_type:test", "resource_type:unit_test"))
    state = refresh(INPUTS, ran.settings, models, return_state=True)
    assert state.is_completed(), state.message
    assert measures_of(state, "agent-analytics")["rows_loaded"] == 0
    assert len(builds) == 2
    assert "It was replaced by the last published copy" in caplog.text
    assert "claude-experimental-9 has no price" in caplog.text
    assert "made-up sample input" in caplog.text
    assert ran.marts() == before


def test_copilot_is_fetched_in_both_shapes_and_the_report_exports_it(
    ran: Ran, tmp_path: Path
) -> None:
    for shape, rows in (("usage metrics", 2), ("legacy", 1)):
        with running() as fake:
            settings = ran.settings.model_copy(
                update={"copilot_api": fake.url, "copilot_report": shape}
            )
            state = refresh_copilot(1, settings, return_state=True)
        assert state.is_completed(), state.message
        assert measures_of(state, "agent-analytics")["rows_loaded"] == rows
        assert {authorization for _, authorization in fake.seen} <= {"Bearer the-token", None}
    found = dict(
        ran.query(
            "select developer_id, acceptance_rate_pct from staging.stg_copilot_metrics "
            "where metric_date = date '2026-03-02'"
        )
    )
    assert set(found) == {"__org__", "dev0", "dev2"}
    assert found["__org__"] == 40
    state = report(tmp_path / "out", settings, return_state=True)
    assert state.is_completed(), state.message
    exported = {path.stem for path in (tmp_path / "out").glob("*.parquet")}
    assert {"fct_daily_agent_usage", "fct_git_commits", "fct_agent_costs", "dim_developers"} < (
        exported
    )


def test_plain_dbt_waits_for_its_turn_and_the_prompt_reads_what_was_published(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(ran.settings.store_path))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path))
    begin_parsed("agent_analytics", tmp_path)
    store = agent_flow.store_of(ran.settings)
    monkeypatch.setattr(commands, "DUCKDB_WAIT_SECONDS", 0.0)
    build = ["dbt", "agent_analytics", "run", "--select", "dim_agents"]
    with store.locked("another run", 1, print):
        assert main(build) == 1
    assert "another run" in capfd.readouterr().err
    assert main(build) == 0
    assert "1 of 1 OK" in capfd.readouterr().out

    ask = ["psql", "agent_analytics", "-c"]
    assert main([*ask, "select count(*) as developers from mart.dim_developers"]) == 0
    assert "12" in capfd.readouterr().out
    assert main([*ask, "select nothing"]) == 1
    assert main([*ask, "delete from raw.otel_points"]) == 1
    assert "read-only" in capfd.readouterr().err


def test_a_source_that_does_not_answer_keeps_no_other_out(ran: Ran, tmp_path: Path) -> None:
    """The commits are to come from a database of which no block says where it is, files from
    folders that are not there. One that is empty is."""
    work = session("beside a silent source", datetime(2026, 2, 3, 9, tzinfo=UTC))
    (tmp_path / "logs.jsonl").write_text(f"{request(work, 0, (1_000, 0, 0, 0))}\n")
    settings = ran.settings.model_copy(
        update={"github_block": "agent-analytics-tests-no-such-block"}
    )
    (tmp_path / "empty").mkdir()
    nowhere = [str(tmp_path / name) for name in ("otel", "hook.jsonl", "copilot")]
    inputs = AgentAnalyticsInputs(
        telemetry=(nowhere[0], str(tmp_path), str(tmp_path / "empty"), str(tmp_path / "*.pb")),
        commits=(nowhere[1],),
        copilot=(nowhere[2], str(tmp_path / "e*")),
    )
    untested = DbtOptions(exclude=("resource_type:test", "resource_type:unit_test"))
    state = refresh(inputs, settings, untested, return_state=True)
    assert state.is_failed()
    assert "4 sources failed, the others were loaded and built" in str(state.message)
    for path in nowhere:
        assert f"Reading {path}: there is no such file or folder" in str(state.message)
    told = artifacts_of(state)["agent-analytics-summary"]
    for pattern in ("*.pb", "e*"):
        assert plain(f"No file fits the pattern {tmp_path / pattern} of") in told
    assert str(tmp_path / "empty") not in told + str(state.message)
    assert "agent-analytics-tests-no-such-block" in str(state.message)
    assert ran.query(
        "select count(*) from staging.stg_agent_sessions "
        "where session_id = 'beside a silent source'"
    ) == [(1,)]
