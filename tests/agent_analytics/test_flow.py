"""The whole flow on a real server: load, build, publish, report."""

import json
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.agent_analytics.flow import refresh, report
from flows.agent_analytics.settings import (
    AgentAnalyticsInputs,
    AgentAnalyticsSettings,
    SampleSize,
)


def measures(flow_run_id: UUID, key: str) -> dict[str, object]:
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        )
    (run,) = (artifact for artifact in artifacts if artifact.key == key)
    return {row["measure"]: row["value"] for row in json.loads(str(run.data))}


def test_a_run_publishes_marts_that_the_report_exports(
    prefect_server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = AgentAnalyticsSettings(database_path=tmp_path / "agents.duckdb")
    inputs = AgentAnalyticsInputs(sample=SampleSize(days=4, developers=12, seed=1))
    state = refresh(inputs, settings, return_state=True)
    assert state.is_completed(), state.message
    assert state.state_details.flow_run_id is not None
    figures = measures(state.state_details.flow_run_id, "agent-analytics-run")
    published = tmp_path / "published" / "agents.duckdb"
    with duckdb.connect(str(published), read_only=True) as connection:
        loaded = connection.execute(
            "select (select count(*) from raw.otel_metrics) + (select count(*) from raw.otel_logs)"
            " + (select count(*) from raw.git_commits) "
            "+ (select count(*) from raw.copilot_metrics)"
        ).fetchone()
    assert loaded == (figures["rows_loaded"],)
    assert "claude-experimental-9 has no price" in caplog.text
    assert "made-up sample input" in caplog.text

    again = refresh(inputs, settings, return_state=True)
    assert again.state_details.flow_run_id is not None
    figures = measures(again.state_details.flow_run_id, "agent-analytics-run")
    assert figures["rows_loaded"] == 0

    state = report(tmp_path / "out", settings, return_state=True)
    assert state.is_completed(), state.message
    exported = {path.stem for path in (tmp_path / "out").glob("*.parquet")}
    assert {"fct_daily_agent_usage", "fct_git_commits", "fct_agent_costs", "dim_developers"} < (
        exported
    )
