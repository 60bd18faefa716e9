"""The steps of agent analytics, each with its retries: load what is new, build, publish."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows._shared.available_memory import within_memory
from flows._shared.buckets import POINTER, Options, Version, publish_file
from flows._shared.budgets import Budget
from flows._shared.orchestration.budgets import publish_budgets
from flows._shared.orchestration.credentials import (
    MissingBlockError,
    postgres_url,
    reading_block,
    storage_options,
)
from flows._shared.orchestration.dbt import (
    DbtBuildError,
    DbtOptions,
    DbtOutcome,
    DbtProjectError,
    build_dbt,
)
from flows._shared.orchestration.events import emit_landed
from flows._shared.orchestration.published import PUBLISHED
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress
from flows._shared.state import state_dir
from flows.agent_analytics import raw, sync
from flows.agent_analytics.records import EXAMPLE_QUERY, Landed, LoadCounts, StoreDamagedError
from flows.agent_analytics.settings import (
    PATH_VARIABLE,
    AgentAnalyticsInputs,
    AgentAnalyticsSettings,
    SampleSize,
)

SLUG = "agent_analytics"
MEGABYTE = 1_000_000
PARQUET = "parquet"
LOOK = (
    "select * from mart.fct_agent_costs order by date desc, daily_cost_usd desc limit 10",
    EXAMPLE_QUERY,
)
BUDGETS = """
    select
        case
            when developer_id = 'all' then 'coding agents, all developers'
            else 'coding agents of ' || developer_id
        end,
        strftime(month_start, '%Y-%m'),
        cast(coalesce(month_to_date_cost_usd, 0) as double),
        cast(forecast_cost_usd as double),
        cast(monthly_budget_usd as double),
        budget_status,
        days_left = 0
        and unpriced_tokens = 0
        and coalesce(month_to_date_cost_usd, 0) + may_cost_more_usd <= monthly_budget_usd
    from mart.fct_cost_forecast where monthly_budget_usd is not null order by developer_id
"""
Worked = tuple[LoadCounts, tuple[Landed, ...], DbtOutcome]
Work = Callable[[], Worked]


def store_of(settings: AgentAnalyticsSettings) -> raw.Store:
    memory = within_memory(settings.memory_limit)
    return raw.Store(settings.store_path, settings.threads, memory)


@task(name="load telemetry", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def load_telemetry_files(
    patterns: Sequence[str], settings: AgentAnalyticsSettings, progress: Progress
) -> LoadCounts:
    return sync.load_telemetry(
        store_of(settings), patterns, settings.batch_megabytes * MEGABYTE, progress
    )


@task(
    name="load inbox",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def load_inbox(settings: AgentAnalyticsSettings, progress: Progress) -> LoadCounts:
    """What the webhook receiver stored since the last run: telemetry and commits."""
    try:
        url = postgres_url(reading_block(settings.inbox_block or ""))
    except MissingBlockError as error:
        get_run_logger().info("No inbox is read: %s", error)
        return LoadCounts()
    batch_bytes = settings.batch_megabytes * MEGABYTE
    return sync.load_deliveries(store_of(settings), url, batch_bytes, progress)


@task(name="load commits", retries=1, retry_condition_fn=retry_transient, cache_policy=NO_CACHE)
def load_commits(inputs: AgentAnalyticsInputs, settings: AgentAnalyticsSettings) -> LoadCounts:
    block = settings.github_block
    return sync.load_commits(
        store_of(settings),
        inputs.commits,
        inputs.repositories,
        postgres_url(block) if block else None,
    )


@task(name="load copilot files", cache_policy=NO_CACHE)
def load_copilot_files(patterns: Sequence[str], settings: AgentAnalyticsSettings) -> LoadCounts:
    return sync.load_copilot(store_of(settings), sync.copilot_files(patterns))


@task(name="make sample input")
def make_sample(size: SampleSize) -> AgentAnalyticsInputs:
    """Write the example input by size and seed, once, and name it as the input."""
    folder = (
        state_dir() / SLUG / f"sample-{size.days}-days-{size.developers}-developers-{size.seed}"
    )
    sync.write_sample(folder, size.days, size.developers, size.seed)
    get_run_logger().warning(
        "No input is configured: this run uses made-up sample input in %s", folder
    )
    return AgentAnalyticsInputs(
        telemetry=(str(folder / "telemetry"),),
        commits=(str(folder / "commits"),),
        copilot=(str(folder / "copilot"),),
    )


def build_and_publish(
    settings: AgentAnalyticsSettings, dbt: DbtOptions, progress: Progress | None = None
) -> DbtOutcome:
    """Build the marts and let readers see them; a failed build leaves them the last good copy.

    Raises:
        StoreDamagedError: models could not be built because the file cannot be read.
        StoreFullError: its disk is full.
        StoreMemoryError: DuckDB may use too little memory.
    """
    environment = {
        PATH_VARIABLE: str(settings.store_path),
        "AGENT_ANALYTICS_DUCKDB_MEMORY": store_of(settings).memory,
    }
    outcome: DbtOutcome | None
    try:
        outcome = build_dbt(SLUG, environment, dbt, progress=progress)
    except (DbtBuildError, DbtProjectError) as error:
        outcome = error.outcome if isinstance(error, DbtBuildError) else None
        failed = outcome.failed if outcome else ()
        for message in (error.seen, *(node.message for node in failed)):
            if raw.is_damage(message):
                raise sync.damaged(message) from error
            if raw.is_full(message):
                raise store_of(settings).full() from error
            if raw.is_out_of_memory(message):
                raise store_of(settings).short_of_memory(message) from error
        raise
    store_of(settings).publish()
    if progress:
        progress.update(PUBLISHED, 1, 1)
    return outcome


def build_purged(settings: AgentAnalyticsSettings, dbt: DbtOptions) -> DbtOutcome:
    """Build and publish a file in which no former row is left, and the exported marts anew."""
    outcome = build_and_publish(settings, dbt)
    store = store_of(settings)
    raw.forget_former_rows(store)
    store.publish()
    folder = store.path.parent / PARQUET
    if folder.exists():
        store.export_marts(folder)
    return outcome


def work_on(store: raw.Store, purpose: str, wait_seconds: float, work: Work) -> Worked:
    """Be the one writer and do the work; if the file is damaged, restore it and do it once more.

    The work has to read again what was loaded since the published copy: everything that says how
    far was read is in the file itself.
    """
    say = get_run_logger().warning
    with store.locked(purpose, wait_seconds, say):
        store.recover(say)
        try:
            return work()
        except StoreDamagedError as damage:
            store.restore(damage, say)
            return work()


@task(
    name="announce",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def announce(landings: Sequence[Landed]) -> None:
    """Tell the server which raw tables grew."""
    for landed in landings:
        emit_landed(
            SLUG,
            table=landed.table,
            batch=landed.batch,
            rows=landed.rows,
            max_timestamp=landed.max_timestamp,
        )


@task(
    name="publish to bucket",
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def publish_copy(address: str, settings: AgentAnalyticsSettings) -> Version:
    return publish_file(
        store_of(settings).published_path,
        address,
        datetime.now(UTC),
        _storage_options(settings),
    )


def _storage_options(settings: AgentAnalyticsSettings) -> Options:
    try:
        return storage_options(settings.storage_block)
    except MissingBlockError:
        return {}


def tell_budgets(store: raw.Store) -> None:
    """The artifact with the month of each developer who has a budget, and of all."""
    with store.reader() as connection:
        rows = connection.execute(BUDGETS).fetchall()
    publish_budgets(SLUG, [Budget(*row) for row in rows])


def where_to_look(settings: AgentAnalyticsSettings) -> tuple[str, ...]:
    """An address that a reader reaches: that of the reader, of the bucket, or the path here."""
    file = store_of(settings).published_path
    if settings.read_at:
        reader = settings.read_at.rstrip("/")
        return (reader, f"attach '{reader}/{file.name}' as agents (read_only)", *LOOK)
    if settings.published_to:
        return (f"{settings.published_to.rstrip('/')}/{POINTER} leads to the newest copy", *LOOK)
    return (f"duckdb -readonly {file}", *LOOK)
