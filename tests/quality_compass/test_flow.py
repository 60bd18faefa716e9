"""The flows on a real server and database: load, verify, build, tell what changed; operations."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State

from blocks.registration import register
from flows._shared.orchestration.dbt import DbtOptions
from flows.quality_compass import rollback, source
from flows.quality_compass.flow import (
    RunsRequest,
    disagreements,
    maintain,
    query_metrics,
    refresh,
    roll_back,
)
from flows.quality_compass.flow.operations import require_ssl
from flows.quality_compass.flow.runs import DisagreementError
from flows.quality_compass.semantic import MetricsRequest
from flows.quality_compass.settings import QualityCompassSettings
from tests.quality_compass.conftest import read, write

# Their tests are the business of tests/dbt_projects.
UNTESTED = DbtOptions(exclude=("resource_type:test", "resource_type:unit_test"))
CLASSIFICATIONS = "analysis/classification/losIndex.jsonl"
NODE = "results/nodes/losIndex__medicareId__aggregate_time_period.jsonl"


@pytest.fixture
def settings(prefect_server: str, database: str, tmp_path: Path) -> QualityCompassSettings:
    register(["quality_compass"], {"QUALITY_COMPASS_DATABASE_URL": database})
    return QualityCompassSettings(state_dir=tmp_path, sample_facilities=40)


def artifacts(state: State[Any]) -> dict[str, str]:
    flow_run_id = state.state_details.flow_run_id
    assert isinstance(flow_run_id, UUID)
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        )
    return {str(each.key): str(each.data) for each in found}


def test_a_run_is_loaded_verified_built_and_its_changes_told(
    settings: QualityCompassSettings, database: str, sample_folder: Path
) -> None:
    request = RunsRequest(addresses=(str(sample_folder),), verify=True, fail_on_disagreement=True)
    state = refresh(request, settings, UNTESTED, return_state=True)
    assert state.is_completed(), state.message
    told = artifacts(state)
    figures = {row["measure"]: row["value"] for row in json.loads(told["quality-compass-run"])}
    lines = sum(len(path.read_text().splitlines()) for path in sample_folder.rglob("*.jsonl"))
    assert figures["rows_loaded"] == lines
    assert figures["failures"] == 0
    assert "Run 20250215060000 against 20250115060000" in told["quality-compass-signals"]
    with psycopg.connect(database) as connection:
        changed = connection.execute(
            """
            select count(*)
            from analytics.fct_signals as latest
            inner join analytics.fct_signals as previous
                using (canonical_node_id, metric_id, group_hash)
            where latest.run_id = '20250215060000' and previous.run_id = '20250115060000'
            and latest.severity_score > previous.severity_score
            """
        ).fetchone()
    assert changed is not None
    assert changed[0] > 0
    assert f"# {changed[0]} worse" in told["quality-compass-signals"]

    rows = query_metrics(MetricsRequest(metrics=("total_signals",)), settings)
    with psycopg.connect(database) as connection:
        total = connection.execute("select count(*) from analytics.fct_signals").fetchone()
    assert total is not None
    assert rows == [{"total_signals": float(total[0])}]


def test_maintenance_vacuums_the_large_tables(
    settings: QualityCompassSettings, database: str, run_folder: Path
) -> None:
    refresh(RunsRequest(addresses=(str(run_folder),)), settings, UNTESTED)
    maintained = maintain(settings, return_state=True)
    assert maintained.is_completed(), maintained.message
    with psycopg.connect(database) as connection:
        vacuumed = connection.execute(
            "select count(*) from pg_stat_user_tables where last_vacuum is not null "
            "and relname in ('fct_signals', 'stg_anomalies')"
        ).fetchone()
    assert vacuumed == (2,)


def test_a_tampered_claim_is_named_by_file_and_line(
    run_folder: Path,
) -> None:
    claims = read(run_folder / CLASSIFICATIONS)
    claims[0]["severity"] = 99 if claims[0]["severity"] != 99 else 1
    write(run_folder / CLASSIFICATIONS, claims)
    node = read(run_folder / NODE)
    node[3]["statistical_methods"][0]["statistics"]["simple_zscore"] += 0.01
    write(run_folder / NODE, node)
    (run,) = source.find_runs(str(run_folder))
    found = {
        (each.file_path, each.line_number, each.field)
        for each in disagreements(run, QualityCompassSettings(), source.Storage())
    }
    assert found == {
        (CLASSIFICATIONS, 1, "severity"),
        (NODE, 4, "simple_zscore.simple_zscore"),
    }


def test_a_sample_run_agrees_with_its_recomputation(
    sample_folder: Path,
) -> None:
    for run in source.find_runs(str(sample_folder)):
        assert list(disagreements(run, QualityCompassSettings(), source.Storage())) == []


def test_a_comparison_names_the_rows_and_columns_that_differ_and_a_swap_keeps_the_old(
    database: str,
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            """
            create schema analytics;
            create schema quality_compass_rollback;
            create table analytics.dim_metrics as
            select * from (values ('a', 'x', 1), ('b', null, 2), ('c', 'z', 3))
                as rows (metric_id, name, gone);
            create table quality_compass_rollback.dim_metrics as
            select * from (values ('a', 'x', 1.0), ('b', 'y', 2.0), ('d', 'w', 4.0))
                as rows (metric_id, name, came)
            """
        )
        comparison = rollback.compare(connection, "dim_metrics")
        assert comparison == rollback.Comparison(
            3, 3, 1, 1, 1, {"name": 1}, ("gone",), ("came",), ("b", "c", "d")
        )
        assert not comparison.is_equal
        kept = rollback.swap(connection, "dim_metrics")
        names = "select string_agg(metric_id, '' order by 1) from {}.dim_metrics"
        assert connection.execute(names.format("analytics").encode()).fetchone() == ("abd",)
        assert connection.execute(names.format(kept).encode()).fetchone() == ("abc",)


def test_an_unknown_mart_or_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rollback.RevisionError, match="no such mart"):
        rollback.prepare_project("stg_nodes", "HEAD", tmp_path)
    for revision in ("no-such-revision", "--output=x", "HEAD; ls"):
        with pytest.raises(rollback.RevisionError):
            rollback.prepare_project("fct_signals", revision, tmp_path)


def test_a_connection_that_need_not_be_encrypted_fails_the_checklist(
    settings: QualityCompassSettings,
) -> None:
    with pytest.raises(Exception, match="sslmode is prefer"):
        require_ssl(settings.database_block, "prefer")
    with pytest.raises(Exception, match="not encrypted"):
        require_ssl(settings.database_block, "require")


def test_a_rollback_to_the_current_revision_gives_the_same_rows(
    settings: QualityCompassSettings, sample_folder: Path
) -> None:
    refresh(RunsRequest(addresses=(str(sample_folder / "20250115060000"),)), settings, UNTESTED)
    comparison = roll_back("dim_facilities", "HEAD", True, settings)
    assert comparison.is_equal
    assert comparison.current_rows == comparison.rebuilt_rows == 20


def test_fail_on_disagreement_fails_after_everything_was_built(
    settings: QualityCompassSettings, database: str, run_folder: Path
) -> None:
    claims = read(run_folder / CLASSIFICATIONS)
    derived = claims[0]["derived_indicators"]
    derived["position"] = "normal" if derived["position"] != "normal" else "severe"
    write(run_folder / CLASSIFICATIONS, claims)
    request = RunsRequest(addresses=(str(run_folder),), verify=True, fail_on_disagreement=True)
    state = refresh(request, settings, UNTESTED, return_state=True)
    assert state.is_failed()
    with pytest.raises(DisagreementError, match="1 claims"):
        state.result()
    with psycopg.connect(database) as connection:
        assert connection.execute("select field from public.raw_disagreements").fetchall() == [
            ("position",)
        ]
        built = connection.execute("select count(*) from analytics.fct_signals").fetchone()
    assert built is not None
    assert built[0] > 0
