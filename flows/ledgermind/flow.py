"""Order, retries and artifacts of LedgerMind: look at the operational database, then build dbt."""

import time

import psycopg
from prefect import flow, get_run_logger, task

from flows._shared.orchestration.credentials import dbt_postgres_env, postgres_url
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows.ledgermind import raw, source
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import LedgermindSettings

SLUG = "ledgermind"
EXAMPLE_QUERY = "select * from analytics.mart_suggestions_kpis order by created_date desc limit 5"


@task(
    name="look at the operational database",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def look(settings: LedgermindSettings) -> tuple[int, str | None]:
    """Events and feedback rows there are to build from, and a note if a sample was made."""
    note = None
    with psycopg.connect(postgres_url(settings.database_block), autocommit=True) as connection:
        if settings.sample_events is not None and not raw.has_operational_tables(connection):
            made = sample(settings.sample_events, settings.sample_seed)
            rows = raw.create_operational_database(connection, made)
            note = f"No operational database was given: a sample of {rows:,} rows was made"
            get_run_logger().warning(note)
        return source.count_operational_rows(connection), note


@flow(name="ledgermind")
def refresh(
    settings: LedgermindSettings = LedgermindSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Rebuild the suggestion marts from LedgerMind's operational database.

    Args:
        settings: Where to read from.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    rows, note = look(settings)
    progress.update("look", 1, 1, rows)
    outcome = build_dbt(SLUG, dbt_postgres_env(settings.database_block), dbt, progress=progress)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=rows,
            models_built=outcome.models_built,
            tests_passed=outcome.tests_passed,
            warnings=outcome.warnings,
            failures=outcome.failures,
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=(note,) if note else (),
        ),
    )
