"""Order, retries and artifacts of LedgerMind: the marts beside the source, export, BigQuery."""

import os
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

import psycopg
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPIError, ServerError, TooManyRequests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from prefect import flow, get_run_logger, task

from flows._shared.errors import PermanentError, TransientError
from flows._shared.orchestration.credentials import dbt_postgres_env, postgres_url
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome, build_dbt
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows.ledgermind import source
from flows.ledgermind.raw import operational
from flows.ledgermind.raw.exported import ExportedDataset
from flows.ledgermind.records import EXPORTED, ExportCounts, ExportedTable, ExportMismatchError
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import BigQuerySettings, LedgermindSettings

SLUG = "ledgermind"
EMULATOR = "BIGQUERY_EMULATOR_HOST"
GIGABYTE = 1_000_000_000
EXAMPLE_QUERY = "select * from analytics.mart_suggestions_kpis order by created_date desc limit 5"

Target = Literal["pg_local", "bigquery"]


class BigQueryRefusedError(PermanentError):
    """BigQuery does not take what it was given."""


class BigQueryUnavailableError(TransientError):
    """BigQuery did not answer, or asks to come back later."""


def export_table(
    connection: psycopg.Connection,
    dataset: ExportedDataset,
    table: ExportedTable,
    *,
    excluded: Collection[str],
    rows_per_load: int,
    lookback: timedelta,
    merged: Callable[[int], None] = lambda rows: None,
) -> ExportCounts:
    """Bring the copy of one table up to its source, and prove that they are equal.

    Rows changed since the newest exported change less ``lookback`` are merged. If count or
    checksum differ then, keys that are gone are deleted; if they still differ (a row was written
    with an old date, or changed without its change column), the whole table is merged again.

    Args:
        connection: a snapshot of the source.
        merged: told how many rows were merged, after each batch.

    Raises:
        SchemaChangedError: a column has another type than before.
        ExportMismatchError: the copy is not equal to its source at the end.
    """
    started = time.monotonic()
    columns = source.read_columns(connection, table.name, excluded)
    dataset.ensure_table(table, columns)
    wanted = source.fingerprint(connection, table)
    newest = dataset.newest_change(table)
    since = newest - lookback if newest else None

    def send(since: datetime | None) -> int:
        batches = source.fetch_batches(connection, table, columns, since, rows_per_load)
        return dataset.merge(table, columns, batches, merged)

    sent, deleted = send(since), 0
    if dataset.fingerprint(table) != wanted:
        key = next(column for column in columns if column.name == table.key)
        keys = source.fetch_keys(connection, table, key, rows_per_load)
        deleted = dataset.delete_missing(table, key, keys)
    if since and dataset.fingerprint(table) != wanted:
        sent += send(None)
    found = dataset.fingerprint(table)
    if found != wanted:
        raise ExportMismatchError(
            f"exporting {table.name}",
            f"the source has {wanted.rows} rows (checksum {wanted.checksum}), the copy "
            f"{found.rows} (checksum {found.checksum})",
            "Drop the copy on BigQuery and export again; then look for a second writer",
        )
    return ExportCounts(table.name, sent, deleted, found.rows, time.monotonic() - started)


@task(
    name="look at the operational database",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def look(settings: LedgermindSettings) -> tuple[int, int]:
    """Events and feedback rows there are to build from; rows of a sample that was made, or 0."""
    made = 0
    with psycopg.connect(postgres_url(settings.database_block), autocommit=True) as connection:
        is_empty = not operational.has_operational_tables(connection)
        if settings.sample_events is not None and is_empty:
            rows = sample(settings.sample_events, settings.sample_seed)
            made = operational.create_operational_database(connection, rows)
            get_run_logger().warning("%s", _sample_note(made))
        return source.count_operational_rows(connection), made


@task(
    task_run_name="export-{table.name}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def export(table: ExportedTable, settings: LedgermindSettings) -> ExportCounts:
    """One operational table to BigQuery: what changed, then count and checksum compared."""
    warehouse = settings.bigquery
    try:
        dataset = ExportedDataset(
            bigquery_client(warehouse), warehouse.raw_dataset, warehouse.location
        )
        with source.open_snapshot(postgres_url(settings.database_block)) as connection:
            counts = export_table(
                connection,
                dataset,
                table,
                excluded=warehouse.excluded_columns,
                rows_per_load=warehouse.rows_per_load,
                lookback=timedelta(hours=warehouse.lookback_hours),
            )
    except (ServerError, TooManyRequests) as error:
        raise BigQueryUnavailableError(
            f"exporting {table.name}", str(error), "Try again later"
        ) from error
    except GoogleAPIError as error:
        raise BigQueryRefusedError(
            f"exporting {table.name}", str(error), "Check the project, its datasets and the roles"
        ) from error
    get_run_logger().info(
        "%s: %s rows sent, %s deleted, %s in the copy, in %.1f s",
        *(counts.table, counts.rows, counts.deleted, counts.total, counts.seconds),
    )
    return counts


@flow(name="ledgermind-export")
def export_tables(settings: LedgermindSettings = LedgermindSettings()) -> None:
    """Copy the operational tables to BigQuery: what is new or changed, and what was deleted.

    Args:
        settings: Where to read from and where to write to.
    """
    started = time.monotonic()
    counts = _export_all(settings, Progress(f"{SLUG}-export"))
    publish_summary(
        f"{SLUG}-export",
        RunSummary(
            rows_loaded=sum(each.rows for each in counts),
            models_built=0,
            tests_passed=len(counts),
            warnings=0,
            failures=0,
            seconds=time.monotonic() - started,
            look=(f"BigQuery dataset {settings.bigquery.raw_dataset}",),
        ),
    )


@flow(name="ledgermind")
def refresh(
    settings: LedgermindSettings = LedgermindSettings(),
    targets: Sequence[Target] = ("pg_local",),
    export_first: bool = True,
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Rebuild the suggestion marts, on PostgreSQL, on BigQuery or on both.

    Args:
        settings: Where to read from and where BigQuery is.
        targets: Where to build: beside the operational database, on BigQuery, or both.
        export_first: Export to BigQuery before a build there; no where another run has done so.
        dbt: Which models to build, and how. The target is set by `targets`.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    notes: list[str] = []
    rows = 0
    if "pg_local" in targets or export_first:
        rows, made = look(settings)
        progress.update("look" if not made else "sample data made (none was given)", 1, 1, rows)
        notes += [_sample_note(made)] if made else []
    outcomes: list[DbtOutcome] = []
    if "pg_local" in targets:
        environment = dbt_postgres_env(settings.database_block)
        options = dbt.model_copy(update={"target": "pg_local"})
        outcomes.append(build_dbt(SLUG, environment, options, progress=progress))
    if "bigquery" in targets:
        if export_first:
            _export_all(settings, progress)
        environment = bigquery_environment(settings.bigquery)
        options = dbt.model_copy(update={"target": "bigquery"})
        named = _Renamed(progress, "dbt on BigQuery")
        outcomes.append(build_dbt(SLUG, environment, options, progress=named))
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=rows,
            models_built=sum(outcome.models_built for outcome in outcomes),
            tests_passed=sum(outcome.tests_passed for outcome in outcomes),
            warnings=sum(outcome.warnings for outcome in outcomes),
            failures=sum(outcome.failures for outcome in outcomes),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=tuple(notes),
        ),
    )


def bigquery_client(settings: BigQuerySettings) -> bigquery.Client:
    """A client of the emulator that BIGQUERY_EMULATOR_HOST names, else of Google's own."""
    if endpoint := os.environ.get(EMULATOR):
        return bigquery.Client(
            project=settings.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=endpoint),
        )
    if settings.gcp_block is None:
        return bigquery.Client(project=settings.project, location=settings.location)
    # prefect-gcp takes seconds to import: a run against the emulator does without.
    from prefect_gcp import GcpCredentials

    block = GcpCredentials.load(settings.gcp_block)
    client: bigquery.Client = block.get_bigquery_client(settings.project, settings.location)
    return client


def bigquery_environment(settings: BigQuerySettings) -> dict[str, str]:
    """What the target `bigquery` of profiles.yml reads."""
    environment = {
        "DBT_BIGQUERY_PROJECT": settings.project,
        "DBT_BIGQUERY_DATASET": settings.dataset,
        "DBT_BIGQUERY_SOURCE_DATASET": settings.raw_dataset,
        "DBT_BIGQUERY_LOCATION": settings.location,
        "DBT_BIGQUERY_MAXIMUM_BYTES_BILLED": str(settings.maximum_gigabytes_billed * GIGABYTE),
    }
    if endpoint := os.environ.get(EMULATOR):
        return environment | {
            "DBT_BIGQUERY_METHOD": "oauth-secrets",
            "DBT_ENV_SECRET_BIGQUERY_TOKEN": "emulator",
            "DBT_BIGQUERY_API_ENDPOINT": endpoint,
            "DBT_BIGQUERY_JOB_RETRIES": "0",
        }
    if settings.gcp_block is None:
        return environment | {"DBT_BIGQUERY_METHOD": "oauth"}
    from prefect_gcp import GcpCredentials

    block = GcpCredentials.load(settings.gcp_block)
    info = block.service_account_info.get_secret_value() if block.service_account_info else {}
    return environment | {
        "DBT_BIGQUERY_METHOD": "service-account-json",
        "DBT_BIGQUERY_PRIVATE_KEY_ID": str(info.get("private_key_id", "")),
        "DBT_ENV_SECRET_BIGQUERY_PRIVATE_KEY": str(info.get("private_key", "")),
        "DBT_BIGQUERY_CLIENT_EMAIL": str(info.get("client_email", "")),
        "DBT_BIGQUERY_CLIENT_ID": str(info.get("client_id", "")),
    }


class _Renamed:
    """Reports a phase under another name: two builds of one run must not share a line."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name

    def update(
        self, phase: str, done: int, total: int | None = None, rows: int | None = None
    ) -> None:
        self._progress.update(self._name, done, total, rows)


def _export_all(settings: LedgermindSettings, progress: Progress) -> list[ExportCounts]:
    counts: list[ExportCounts] = []
    for table in EXPORTED:
        progress.update("export", len(counts), len(EXPORTED), sum(each.rows for each in counts))
        counts.append(export(table, settings))
    progress.update("export", len(counts), len(EXPORTED), sum(each.rows for each in counts))
    if api := current_flow_run():
        rows = [vars(each) for each in counts]
        api.create_table(f"{SLUG}-export-tables", rows, "Rows of each exported table")
    return counts


def _sample_note(rows: int) -> str:
    return f"No operational database was given: a sample of {rows:,} rows was made"
