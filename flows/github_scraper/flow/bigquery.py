"""The marts on BigQuery: copies of the raw tables, the build there, and the way over.

BigQuery is for when PostgreSQL has grown too large. Raw rows are written to PostgreSQL before and
after; `migrate` proves that both warehouses say the same before anybody reads the other.
"""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
from prefect import flow, get_run_logger, task

from flows._shared.counted import counted
from flows._shared.errors import TransientError
from flows._shared.orchestration.budgets import told_costs
from flows._shared.orchestration.credentials import (
    building_block,
    dbt_postgres_env,
    postgres_url,
)
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome, build_dbt, built_where
from flows._shared.orchestration.exports import (
    build_there,
    copy_dataset,
    export_told,
    exported,
    publish_export,
    publish_tables,
    remarks_of,
)
from flows._shared.orchestration.failed_run import summarized
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows._shared.purged import Purged
from flows._shared.revised import revised
from flows.github_scraper.records import MartsDifferError
from flows.github_scraper.settings import GithubScraperSettings

if TYPE_CHECKING:
    from flows._shared.bigquery_export import Comparison, ExportCounts

SLUG = "github_scraper"
MARTS_SCHEMA = "analytics"
HISTORY = "repository_metadata_history"
# dbt hashes a time as each database writes it: the key of a snapshot's row is its own on each.
NOT_COMPARED = ("dbt_scd_id",)
BUILDS_BEFORE_GIVING_UP = 3


class RawTablesMovedError(TransientError):
    """Loads wrote raw rows in the midst of every build of the marts."""


@task(
    name="export raw tables",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def export(settings: GithubScraperSettings) -> "list[ExportCounts]":
    """All raw tables to BigQuery as they were at one moment, count and checksum compared."""
    from flows._shared.bigquery_export import open_snapshot
    from flows.github_scraper.raw.exported import TABLES

    dataset = copy_dataset(SLUG, settings.bigquery, settings.bigquery.raw_dataset)
    progress = Progress(f"{SLUG}-export")
    exported: list[ExportCounts] = []
    with open_snapshot(postgres_url(settings.database_block)) as connection:
        for table in TABLES:
            progress.update("export", len(exported), len(TABLES), sum(e.rows for e in exported))
            exported.append(export_told(connection, dataset, table, settings.bigquery))
    progress.update("export", len(exported), len(TABLES), sum(e.rows for e in exported))
    publish_tables(SLUG, exported)
    return exported


@task(
    name="copy the history of metadata",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def copy_history(settings: GithubScraperSettings) -> None:
    """The snapshot as it is on PostgreSQL, unless BigQuery has one: that goes on by itself."""
    from flows._shared.bigquery_export import CopiedTable, export_table, open_snapshot

    dataset = copy_dataset(SLUG, settings.bigquery, settings.bigquery.dataset)
    if dataset.has_table(HISTORY):
        return
    with open_snapshot(postgres_url(settings.database_block)) as connection:
        export_table(connection, dataset, CopiedTable(MARTS_SCHEMA, HISTORY, ("dbt_scd_id",)))


@task(
    name="purge the history of metadata",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def purge_history(settings: GithubScraperSettings, purged: Purged) -> int:
    """Descriptions in BigQuery's history, which no full refresh writes anew; rows changed."""
    dataset = copy_dataset(SLUG, settings.bigquery, settings.bigquery.dataset)
    return dataset.rewrite(HISTORY, "description", purged.text) if dataset.has_table(HISTORY) else 0


@task(
    name="compare the marts",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def compare_marts(outcome: DbtOutcome, settings: GithubScraperSettings) -> "list[Comparison]":
    """Every table that dbt built, on PostgreSQL and on BigQuery, by count and checksum."""
    from flows._shared.bigquery_export import CopiedTable, compare_table, open_snapshot

    dataset = copy_dataset(SLUG, settings.bigquery, settings.bigquery.dataset)
    built = [node.name for node in outcome.nodes if node.resource_type in ("model", "snapshot")]
    with open_snapshot(postgres_url(settings.database_block)) as connection:
        return [
            compare_table(
                connection, dataset, CopiedTable(MARTS_SCHEMA, name, (), excluded=NOT_COMPARED)
            )
            for name in _tables_among(connection, built)
        ]


@summarized(f"{SLUG}-export", SLUG)
@flow(
    name="github-scraper-export",
    flow_run_name=RunName("github-scraper raw to BigQuery, changes to {now}"),
)
def export_tables(settings: GithubScraperSettings = GithubScraperSettings()) -> None:
    """Copy the raw tables to BigQuery: what is new or changed, and what was deleted.

    Args:
        settings: Where to read from and where BigQuery is.
    """
    started = time.monotonic()
    publish_export(SLUG, settings.bigquery, export(settings), time.monotonic() - started)


@summarized(f"{SLUG}-bigquery", SLUG)
@flow(
    name="github-scraper-bigquery",
    flow_run_name=RunName("github-scraper marts on BigQuery, to {now}"),
)
def build_on_bigquery(
    settings: GithubScraperSettings = GithubScraperSettings(), dbt: DbtOptions = DbtOptions()
) -> None:
    """Build the marts on BigQuery from the copies of the raw tables.

    Args:
        settings: Where BigQuery is, and what a query may cost.
        dbt: Which models to build, and how. The target is BigQuery.
    """
    started = time.monotonic()
    built = build_there(SLUG, settings.bigquery, dbt, Progress(f"{SLUG}-bigquery"))
    note, needs_a_look = told_costs(SLUG, settings.bigquery)
    publish_summary(
        f"{SLUG}-bigquery",
        RunSummary(
            rows_loaded=0,
            models_built=built.models_built,
            tests_passed=built.tests_passed,
            warnings=built.warnings + needs_a_look,
            failures=built.failures,
            seconds=time.monotonic() - started,
            look=(f"BigQuery dataset {settings.bigquery.dataset}",),
            notes=() if needs_a_look else (note,),
            troubles=(note,) if needs_a_look else (),
        ),
    )


@summarized(f"{SLUG}-migrate", SLUG)
@flow(
    name="github-scraper-migrate",
    flow_run_name=RunName("github-scraper raw+marts to BigQuery, to {now}"),
)
def migrate(settings: GithubScraperSettings = GithubScraperSettings()) -> None:
    """Bring the marts to BigQuery, compare them with PostgreSQL's, and say whether to switch.

    Nothing on PostgreSQL is taken away. The run fails where a mart is not the same on both.

    Args:
        settings: Where the raw tables and marts are and where BigQuery is.
    """
    started = time.monotonic()
    dbt = DbtOptions(variables={"as_of_date": datetime.now(UTC).date().isoformat()})
    progress = Progress(f"{SLUG}-migrate")
    counts = export(settings)
    remarks = remarks_of(counts)
    built_here = _build_from_what_was_copied(settings, dbt, progress)
    copy_history(settings)
    built_there = build_there(SLUG, settings.bigquery, dbt, progress)
    comparisons = compare_marts(built_there, settings)
    if api := current_flow_run():
        rows = [vars(each) for each in comparisons]
        api.create_table("github-scraper-migrate-marts", rows, "The marts on both warehouses")
    differing = [each for each in comparisons if not each.is_equal]
    verdict = (
        f"{len(differing)} of {counted(len(comparisons), 'table')} differ: do not switch"
        if differing
        else f"All {len(comparisons)} tables are the same on both: switch as the runbook has it"
    )
    get_run_logger().info("%s", verdict)
    publish_summary(
        f"{SLUG}-migrate",
        RunSummary(
            rows_loaded=0,
            models_built=built_here.models_built + built_there.models_built,
            models_unchanged=built_here.models_unchanged,
            tests_passed=built_here.tests_passed + built_there.tests_passed,
            tests_unchanged=built_here.tests_unchanged,
            warnings=built_here.warnings + built_there.warnings + len(remarks),
            failures=len(differing),
            seconds=time.monotonic() - started,
            look=(f"BigQuery dataset {settings.bigquery.dataset}",),
            notes=(
                *(() if differing else (verdict,)),
                exported(counts),
                built_where({"PostgreSQL": built_here, "BigQuery": built_there}),
            ),
            troubles=(
                *((verdict, *(str(each) for each in differing)) if differing else ()),
                *remarks,
            ),
        ),
    )
    if differing:
        raise MartsDifferError(
            "Migrating the marts of the GitHub scraper to BigQuery",
            "; ".join(str(each) for each in differing),
            "Build both with `full_refresh` and migrate again; until all are the same, go on "
            "reading PostgreSQL",
        )


def _build_from_what_was_copied(
    settings: GithubScraperSettings, dbt: DbtOptions, progress: Progress
) -> DbtOutcome:
    """The marts on PostgreSQL, of exactly the raw rows that BigQuery has.

    Where a load wrote while dbt read, the export after the build has something to send: then the
    marts are built once more. Unit tests say nothing of rows and are left out.
    """
    dbt = revised(dbt, exclude=("test_type:unit",))
    for _ in range(BUILDS_BEFORE_GIVING_UP):
        built = build_dbt(SLUG, dbt_postgres_env(building_block(settings)), dbt, progress=progress)
        if not any(each.changed or each.deleted for each in export(settings)):
            return built
    raise RawTablesMovedError(
        "Building the marts of the GitHub scraper from rows that BigQuery has, too",
        f"loads wrote raw rows during each of {BUILDS_BEFORE_GIVING_UP} builds",
        "Pause the schedules of github-scraper-6h and its trigger, then migrate again",
    )


def _tables_among(connection: psycopg.Connection, names: list[str]) -> list[str]:
    """Those that are tables: a view has no rows of its own."""
    found = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) "
        "and relkind = 'r' and relname = any(%s) order by relname",
        [MARTS_SCHEMA, names],
    )
    return [name for (name,) in found]
