"""The flows on a real server: a sample, both builds, the export between them."""

import re
from datetime import UTC, datetime

import psycopg
import pytest

from blocks.registration import register
from flows._shared.bigquery_export import SchemaChangedError
from flows._shared.markdown import plain
from flows._shared.orchestration.dbt import DbtOptions
from flows.ledgermind.flow import export_tables, refresh
from flows.ledgermind.settings import LedgermindBigQuerySettings, LedgermindSettings
from flows.report.answers import answer_of
from flows.report.making import read_from
from tests.ledgermind.warehouses import PROJECT
from tests.told import artifacts_of, assert_freshness_is_told, measures_of, rows_of

ONE_MODEL = DbtOptions(select=("stg_models",), exclude=("resource_type:test",))


def test_a_run_without_a_database_of_its_own_makes_a_sample_and_builds_on_both(
    prefect_server: str,
    database: str,
    bigquery_emulator: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    register(["ledgermind"], {"LEDGERMIND_DATABASE_URL": database})
    settings = LedgermindSettings(
        sample_events=300,
        bigquery=LedgermindBigQuerySettings(dataset="flow_marts", raw_dataset="flow_raw"),
    )
    state = refresh(settings, targets=["pg_local", "bigquery"], return_state=True)
    assert state.is_completed(), state.message

    with psycopg.connect(database) as connection:
        counted = connection.execute(
            "select sum(events_total) from analytics.mart_suggestions_kpis"
        ).fetchone()
    assert counted == (312,)
    texts = artifacts_of(state)
    measures = measures_of(state, "ledgermind")
    models = list((PROJECT / "models").rglob("*.sql"))
    # The report reads PostgreSQL: its models are not built on BigQuery.
    of_report = list((PROJECT / "models" / "report").glob("*.sql"))
    assert of_report
    assert measures["models_built"] == 2 * len(models) - len(of_report)
    assert measures["failures"] == 0
    assert_freshness_is_told(state, "ledgermind")
    counted_rows = {
        each["name"]: each["rows"]
        for each in rows_of(state, "ledgermind-freshness")
        if each["kind"] == "mart" and each["rows"] is not None
    }
    with psycopg.connect(database) as connection:
        for mart in ("mart_suggestions_kpis", "mart_suggestions_feedback_daily"):
            (rows,) = connection.execute(f"select count(*) from analytics.{mart}").fetchall()
            assert (counted_rows[mart],) == rows
    page = answer_of(read_from("ledgermind", database), datetime.now(UTC).date())
    assert measures["headline"] == page.headline
    assert texts["ledgermind-summary"].startswith(f"# {plain(page.headline)}\n\n![")
    assert "## ledgermind: passed" in texts["ledgermind-summary"]
    assert "a sample of" in texts["ledgermind-summary"]
    assert "BigQuery shows no job of ledgermind this month" in texts["ledgermind-summary"]
    apart = (
        f"PostgreSQL: {len(models)} models built; BigQuery: {len(models) - len(of_report)} models"
    )
    assert plain(apart) in texts["ledgermind-summary"]
    # The emulator keeps no labels (bqemulator 1.4.0): none of its jobs is this domain's.
    assert rows_of(state, "ledgermind-bigquery-costs") == []
    exported = {row["table"]: row["total"] for row in rows_of(state, "ledgermind-export-tables")}
    assert exported["suggestion_events"] == 312
    # A row that was loaded and then copied is one.
    copies = sum(exported.values())
    assert measures["rows_loaded"] == copies
    told = f"exported to BigQuery: {copies:,} rows written and 0 deleted in {len(exported)} tables"
    assert plain(told) in texts["ledgermind-summary"]

    again = refresh(settings, dbt=ONE_MODEL, return_state=True)
    assert again.is_completed(), again.message
    # Nothing was loaded, only looked at.
    assert measures_of(again, "ledgermind")["rows_loaded"] == 0
    summary = artifacts_of(again)["ledgermind-summary"]
    assert re.search(r"- \d+ rows of events and feedback are there", summary)
    assert "BigQuery" not in summary

    # A table that cannot be exported keeps none that comes after it away.
    with psycopg.connect(database) as connection:
        connection.execute("alter table model_registry alter notes type integer using null")
        connection.execute("update tenants set name = 'Another' where id = 1")
    failed = export_tables(settings, return_state=True)
    assert failed.is_failed()
    with pytest.raises(SchemaChangedError, match=r"model_registry\.notes"):
        failed.result()
    written = {row["table"]: row["changed"] for row in rows_of(failed, "ledgermind-export-tables")}
    assert written["tenants"] == 1
    assert "model_registry" not in written


def test_a_database_that_is_not_ledgerminds_is_refused_with_what_to_do(
    prefect_server: str, database: str
) -> None:
    register(["ledgermind"], {"LEDGERMIND_DATABASE_URL": database})
    state = refresh(LedgermindSettings(), return_state=True)
    assert state.is_failed()
    with pytest.raises(Exception, match="schema public has no suggestion_events"):
        state.result()
