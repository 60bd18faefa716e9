"""Exports to BigQuery as a flow runs them: the copies, the log, the artifact and the summary."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg

from flows._shared.bigquery_settings import BigQuerySettings
from flows._shared.counted import counted
from flows._shared.orchestration.bigquery import bigquery_access, bigquery_environment
from flows._shared.orchestration.budgets import told_costs
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome, build_dbt
from flows._shared.orchestration.flow_run import current_flow_run, kebab, run_logger
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows._shared.revised import revised

if TYPE_CHECKING:
    from flows._shared.bigquery_export import CopiedTable, CopyDataset, ExportCounts


def copy_dataset(domain: str, settings: BigQuerySettings, dataset: str) -> "CopyDataset":
    """A dataset of copies; its jobs are labelled as exports of the domain."""
    # google-cloud-bigquery and pyarrow take a second to import: only who exports pays.
    from flows._shared.bigquery_export import CopyDataset

    return CopyDataset(
        bigquery_access(settings).client(),
        dataset,
        settings.location,
        {"domain": domain, "tool": "export"},
    )


def export_told(
    connection: psycopg.Connection,
    dataset: "CopyDataset",
    table: "CopiedTable",
    settings: BigQuerySettings,
) -> "ExportCounts":
    """One table, as `export_table` does; the log says what was done and what BigQuery lacks."""
    from flows._shared.bigquery_export import export_table

    counts = export_table(
        connection,
        dataset,
        table,
        rows_per_load=settings.rows_per_load,
        lookback=timedelta(hours=settings.lookback_hours),
    )
    logger = run_logger(__name__)
    logger.info(
        "%s: %s rows sent, %s written, %s deleted, %s in the copy, in %.1f s",
        *(counts.table, counts.rows, counts.changed, counts.deleted, counts.total, counts.seconds),
    )
    if counts.remark:
        logger.warning("%s", counts.remark)
    return counts


def publish_tables(domain: str, counts: "Sequence[ExportCounts]") -> None:
    """The artifact ``<domain>-export-tables``."""
    if api := current_flow_run():
        rows = [vars(each) for each in counts]
        api.create_table(f"{kebab(domain)}-export-tables", rows, "Rows of each exported table")


def publish_export(
    domain: str, settings: BigQuerySettings, counts: "Sequence[ExportCounts]", seconds: float
) -> None:
    """The summary of a run that did nothing but export, with what BigQuery billed this month."""
    remarks = remarks_of(counts)
    note, needs_a_look = told_costs(domain, settings)
    publish_summary(
        f"{domain}-export",
        RunSummary(
            rows_loaded=0,
            models_built=0,
            tests_passed=len(counts),
            warnings=len(remarks) + needs_a_look,
            failures=0,
            seconds=seconds,
            look=(f"BigQuery dataset {settings.raw_dataset}",),
            notes=(exported(counts), *(() if needs_a_look else (note,))),
            troubles=(*remarks, *((note,) if needs_a_look else ())),
        ),
    )


def exported(counts: "Sequence[ExportCounts]") -> str:
    """A line for the summary: copies of rows are not rows that were loaded."""
    written = sum(each.changed for each in counts)
    deleted = sum(each.deleted for each in counts)
    return (
        f"exported to BigQuery: {counted(written, 'row')} written and {deleted:,} deleted in "
        f"{counted(len(counts), 'table')}"
    )


def remarks_of(counts: "Sequence[ExportCounts]") -> tuple[str, ...]:
    return tuple(each.remark for each in counts if each.remark)


def build_there(
    domain: str, settings: BigQuerySettings, dbt: DbtOptions, progress: Progress
) -> DbtOutcome:
    """The domain's marts on BigQuery, from the copies."""
    return build_dbt(
        domain,
        bigquery_environment(settings),
        revised(dbt, target="bigquery"),
        progress=progress.named("dbt on BigQuery"),
    )
