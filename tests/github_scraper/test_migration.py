"""The way to BigQuery: export, build there, comparison and verdict, on the emulator."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest
from google.cloud import bigquery

from blocks.registration import register
from deployments.local.bigquery import PROJECT
from flows._shared.orchestration.bigquery import bigquery_access
from flows._shared.orchestration.dbt import DbtOptions
from flows._shared.revised import revised
from flows._shared.state import state_dir
from flows.agent_analytics.settings import AgentAnalyticsSettings
from flows.github_scraper import raw
from flows.github_scraper.flow import migrate
from flows.github_scraper.flow.bigquery import SLUG
from flows.github_scraper.records import MartsDifferError
from flows.github_scraper.settings import GithubBigQuerySettings, GithubScraperSettings
from flows.people import operations
from flows.people.operations import purge_person
from flows.people.settings import Named, PurgeSettings
from flows.report.settings import ReportSettings
from tests.dbt_projects.messy_history import FIRST_SYNC, Commit, history, load
from tests.dbt_projects.test_github_scraper import after_second_sync
from tests.dbt_projects.warehouse import Warehouse, in_order
from tests.deployments.grafana.panels import assert_panels_answer
from tests.told import artifacts_of

JANE = "5@x.org"
# What the report alone reads is on PostgreSQL alone.
MERGES = "stg_contributor_merges"
HISTORY = "repository_metadata_history"
# The emulator does not tell of partitions: the statements do.
BY_COMMIT_DAY = {
    "int_commits": "commit_day",
    "int_coauthored_commits": "commit_day",
    "int_time_series": "commit_day",
    "fct_daily_commits": "commit_day",
    "fct_repository_activity": "commit_week",
    "commit_type_summary": "commit_month",
}


@pytest.fixture
def settings(
    prefect_server: str, bigquery_emulator: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GithubScraperSettings]:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": database})
    name = database.rpartition("/")[2].partition("?")[0]
    made = GithubBigQuerySettings(
        project=PROJECT, dataset=f"{name}_marts", raw_dataset=f"{name}_raw"
    )
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
    yield GithubScraperSettings(bigquery=made)
    for dataset in (made.dataset, made.raw_dataset):
        bigquery_access(made).client().delete_dataset(
            dataset, delete_contents=True, not_found_ok=True
        )


# Two builds on each warehouse, on a machine that may do other work beside.
@pytest.mark.timeout(600)
def test_the_marts_move_to_bigquery_and_only_what_differs_is_told(
    settings: GithubScraperSettings,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Warehouse("github_scraper", database, tmp_path)
    there = bigquery_access(settings.bigquery).client()
    dataset = settings.bigquery.dataset

    commits = history(seed=2, size=300)
    load(database, commits[::2])
    plain = next(each for each in commits[::2] if not each.is_merge and not each.orphaned_at)
    # No model reads this column.
    here.execute("update repository_contributors set created_at = 'infinity' where id = 1")
    untested = partial(revised, exclude=("resource_type:test", "resource_type:unit_test"))
    # What dbt tests on PostgreSQL, tests/dbt_projects/test_github_scraper.py has of such a history.
    with monkeypatch.context() as during, load_while_the_marts_are_built(database, plain):
        during.setattr(f"{migrate.fn.__module__}.revised", lambda dbt, exclude: untested(dbt))
        state = migrate(settings, return_state=True)
    assert state.is_completed(), state.message
    summary = artifacts_of(state)["github-scraper-migrate-summary"]
    assert "repository_contributors: BigQuery has no form" in summary
    assert_same_rows(here, there, dataset)
    assert_panels_answer(
        "analytics-github-scraper-bigquery",
        lambda sql: [
            tuple(row)
            for row in there.query(sql.replace("`github_scraper.", f"`{dataset}.")).result()
        ],
    )
    for name, day in BY_COMMIT_DAY.items():
        (statement,) = state_dir().glob(f"dbt/{SLUG}/bigquery/run/**/{name}.sql")
        created = " ".join(statement.read_text().split())
        assert f"partition by date_trunc({day}, month) cluster by repository_id" in created

    there.query(f"update {dataset}.{HISTORY} set description = 'damaged' where true").result()
    load(database, [after_second_sync(*numbered) for numbered in enumerate(commits)])
    here.execute(
        f"update repository_metadata set stars = 13, description = 'ask {JANE}',"
        " updated_at = updated_at + '1 day'"
    )
    # The rows of every mart are compared below: what dbt tests on BigQuery it has tested above.
    with monkeypatch.context() as during:
        during.setattr(
            f"{migrate.fn.__module__}.DbtOptions", partial(revised, untested(DbtOptions()))
        )
        with pytest.raises(MartsDifferError) as told:
            migrate(settings)
    assert f"{HISTORY} has 2 rows on PostgreSQL and 2 on BigQuery" in told.value.seen
    assert told.value.seen.count("parts are not equal") == 1
    assert_same_rows(here, there, dataset, besides=HISTORY)

    # The purge of a person takes the copies with it; what is built there is what is built here.
    raw_dataset = settings.bigquery.raw_dataset
    named = those_that_name(JANE, rows_of(there, dataset, raw_dataset))
    assert {"contributors", "repository_metadata", HISTORY} <= named
    # No other mart names anybody.
    monkeypatch.setattr(
        operations,
        "WHOLE",
        revised(operations.WHOLE, select=("dim_contributor+",), exclude=("resource_type:test",)),
    )
    purged = purge_person(
        Named(emails=(JANE,)),
        dry_run=False,
        settings=PurgeSettings(
            github=settings,
            agents=AgentAnalyticsSettings(database_path=tmp_path / "agents.duckdb"),
            report=ReportSettings(destination=str(tmp_path / "report")),
            with_bigquery=True,
        ),
    )
    assert purged["github: history on BigQuery"] == 1
    afterwards = rows_of(there, dataset, raw_dataset)
    assert those_that_name(JANE, afterwards) == set()
    assert those_that_name("purged-", afterwards) >= named
    assert_same_rows(here, there, dataset, besides=HISTORY)


def rows_of(there: bigquery.Client, *datasets: str) -> dict[str, str]:
    """What stands in each table of the datasets, as one text."""
    return {
        table.table_id: "\n".join(
            str(tuple(row.values()))
            for row in there.query(f"select * from {dataset}.{table.table_id}").result()
        )
        for dataset in datasets
        for table in there.list_tables(dataset)
    }


def those_that_name(name: str, tables: dict[str, str]) -> set[str]:
    return {table for table, rows in tables.items() if name in rows}


def assert_same_rows(
    here: Warehouse, there: bigquery.Client, dataset: str, besides: str | None = None
) -> None:
    """Of tables and views, row by row, and not with the checksums that the migration goes by."""
    compared = 0
    for (name,) in here.query(
        "select table_name from information_schema.tables"
        " where table_schema = 'analytics' and table_name <> 'built_nodes'"
    ):
        if name in (besides, MERGES) or name.startswith("rpt_"):
            continue
        columns = [
            column
            for (column,) in here.query(
                "select column_name from information_schema.columns"
                f" where table_schema = 'analytics' and table_name = '{name}'"
            )
            if column != "dbt_scd_id"
        ]
        listed = ", ".join(columns)
        copied = there.query(f"select {listed} from {dataset}.{name}").result()
        rows = in_order(here.query(f"select {listed} from analytics.{name}"))
        assert in_order([tuple(row.values()) for row in copied]) == rows, name
        compared += bool(rows)
    assert compared >= 19


@contextmanager
def load_while_the_marts_are_built(url: str, commit: Commit) -> Iterator[None]:
    """A commit gets other lines between the export and the end of the build on PostgreSQL.

    Afterwards it has to be in the marts: they were built again, of what was exported again.
    """

    def write() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute(
                "select count(*) from pg_stat_activity where application_name = 'dbt'"
                " and datname = current_database()"
            ).fetchone() == (0,):
                time.sleep(0.05)
            connection.execute(
                "update commits set lines_added = 1000000, updated_at = %s where commit_hash = %s",
                (FIRST_SYNC + timedelta(minutes=10), commit.commit_hash),
            )

    writer = threading.Thread(target=write)
    writer.start()
    yield
    writer.join()
    with psycopg.connect(url) as connection:
        most = connection.execute("select max(lines_added) from analytics.int_commits").fetchone()
    assert most == (1_000_000,)
