"""Order, retries and artifacts of LedgerMind: the marts beside the source, export, BigQuery."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from prefect import flow, get_run_logger, task

from flows._shared.counted import counted
from flows._shared.orchestration.budgets import told_costs
from flows._shared.orchestration.credentials import (
    building_block,
    dbt_postgres_env,
    postgres_url,
)
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome, build_dbt, built_where
from flows._shared.orchestration.events import emit_anomalies, emit_landed
from flows._shared.orchestration.exports import (
    build_there,
    copy_dataset,
    export_told,
    exported,
    publish_export,
    publish_tables,
)
from flows._shared.orchestration.failed_run import summarized
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import (
    Progress,
    RunSummary,
    publish_load,
    publish_summary,
)
from flows._shared.revised import revised
from flows.ledgermind import source
from flows.ledgermind.raw import operational
from flows.ledgermind.records import EXAMPLE_QUERY
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import LedgermindSettings
from flows.report.telling import told_answer

if TYPE_CHECKING:
    from flows._shared.bigquery_export import CopiedTable, ExportCounts

SLUG = "ledgermind"
SAMPLE_NOTE = "No operational database was given: a sample of one was made"

Target = Literal["pg_local", "bigquery"]


@task(
    name="look at the operational database",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def look(settings: LedgermindSettings) -> tuple[int, int]:
    """Events and feedback rows there are to build from; rows of a sample that was made, or 0."""
    made = 0
    with connect(settings.database_block) as connection:
        is_empty = not operational.has_operational_tables(connection)
        if settings.sample_events is not None and is_empty:
            rows = sample(settings.sample_events, settings.sample_seed)
            made = operational.create_operational_database(connection, rows)
            get_run_logger().warning("%s: %s rows", SAMPLE_NOTE, f"{made:,}")
        return source.count_operational_rows(connection), made


@task(
    task_run_name="export-{table.name}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def export(table: "CopiedTable", settings: LedgermindSettings) -> "ExportCounts":
    """One operational table to BigQuery: what changed, then count and checksum compared."""
    from flows._shared.bigquery_export import open_snapshot

    dataset = copy_dataset(SLUG, settings.bigquery, settings.bigquery.raw_dataset)
    with open_snapshot(postgres_url(settings.database_block)) as connection:
        return export_told(connection, dataset, table, settings.bigquery)


@task(
    name="tell new anomalies",
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_transient,
)
def tell_anomalies(settings: LedgermindSettings) -> tuple[str, ...]:
    """An event for each that the server has not been told of; a line each for the summary, and
    for those that ended."""
    with connect(settings.database_block) as connection:
        began = source.new_anomalies(connection)
        ended = source.ended_anomalies(connection)
    emit_anomalies(SLUG, began)
    return tuple(
        f"{each.metric} of {each.day} is as expected again, after {each.days} days"
        for each in ended
    ) + tuple(
        f"{each.metric} of {each.day} is {each.observed:.4g}"
        + ("" if each.expected is None else f" where {each.expected:.4g} was expected")
        + f": {each.owner} is asked to look at it"
        for each in began
    )


@summarized(f"{SLUG}-export", SLUG)
@flow(
    name="ledgermind-export",
    flow_run_name=RunName("ledgermind raw to BigQuery, changes to {now}"),
)
def export_tables(settings: LedgermindSettings = LedgermindSettings()) -> None:
    """Copy the operational tables to BigQuery: what is new or changed, and what was deleted.

    Args:
        settings: Where to read from and where to write to.
    """
    started = time.monotonic()
    counts = _export_all(settings, Progress(f"{SLUG}-export"))
    publish_export(SLUG, settings.bigquery, counts, time.monotonic() - started)


@summarized(SLUG)
@flow(name="ledgermind", flow_run_name=RunName("ledgermind marts on {targets}, to {now}"))
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
    troubles: list[str] = []
    made, needs_a_look = 0, False
    if "pg_local" in targets or export_first:
        rows, made = look(settings)
        if made:
            progress.update("sample data made (none was given)", 1, 1, made)
            notes.append(SAMPLE_NOTE)
        else:
            progress.update("look", 1, 1)
        notes.append(f"{counted(rows, 'row')} of events and feedback are there to build from")
        publish_load(SLUG, made, notes)
    outcomes: dict[str, DbtOutcome] = {}
    if "pg_local" in targets:
        environment = dbt_postgres_env(building_block(settings))
        options = revised(dbt, target="pg_local")
        outcomes["PostgreSQL"] = build_dbt(SLUG, environment, options, progress=progress)
        notes += tell_anomalies(settings)
    if "bigquery" in targets:
        if export_first:
            notes.append(exported(_export_all(settings, progress)))
        outcomes["BigQuery"] = build_there(SLUG, settings.bigquery, dbt, progress)
        note, needs_a_look = told_costs(SLUG, settings.bigquery)
        (troubles if needs_a_look else notes).append(note)
    if len(outcomes) > 1:
        notes.append(built_where(outcomes))
    built = outcomes.values()
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=made,
            models_built=sum(outcome.models_built for outcome in built),
            models_unchanged=sum(outcome.models_unchanged for outcome in built),
            tests_passed=sum(outcome.tests_passed for outcome in built),
            tests_unchanged=sum(outcome.tests_unchanged for outcome in built),
            warnings=sum(outcome.warnings for outcome in built) + needs_a_look,
            failures=sum(outcome.failures for outcome in built),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=tuple(notes),
            troubles=(*troubles, *(line for outcome in built for line in outcome.told)),
            answer=told_answer(SLUG, settings.database_block) if "pg_local" in targets else None,
        ),
    )


def _export_all(settings: LedgermindSettings, progress: Progress) -> "list[ExportCounts]":
    from flows._shared.bigquery_export import open_snapshot
    from flows.ledgermind.raw.exported import exported_tables

    with open_snapshot(postgres_url(settings.database_block)) as connection:
        tables = exported_tables(connection, settings.bigquery.excluded_columns)
    counts: list[ExportCounts] = []
    failed = []
    for table in tables:
        progress.update("export", len(counts), len(tables), sum(each.rows for each in counts))
        state = export(table, settings, return_state=True)
        if state.is_completed():
            counts.append(state.result())
        else:
            failed.append(state)
    progress.update("export", len(counts), len(tables), sum(each.rows for each in counts))
    if api := current_flow_run():
        for each in counts:
            batch = str(api.flow_run_id)
            emit_landed(SLUG, table=each.table, batch=batch, rows=each.changed + each.deleted)
    publish_tables(SLUG, counts)
    for state in failed:
        state.result()
    return counts
