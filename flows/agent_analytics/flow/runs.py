"""Order, retries and artifacts of agent analytics: load what is new, build, publish."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows._shared.counted import counted, failed_of
from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import secret_value
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome
from flows._shared.orchestration.failed_run import summarized
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_load, publish_summary
from flows._shared.revised import revised
from flows._shared.state import state_dir
from flows.agent_analytics import source, sync
from flows.agent_analytics.flow.tasks import (
    PARQUET,
    SLUG,
    Worked,
    announce,
    build_and_publish,
    load_commits,
    load_copilot_files,
    load_inbox,
    load_telemetry_files,
    make_sample,
    publish_copy,
    store_of,
    tell_budgets,
    where_to_look,
    work_on,
)
from flows.agent_analytics.records import (
    LoadCounts,
    SourcesFailedError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreOutdatedError,
    StoreUnusableError,
)
from flows.agent_analytics.settings import AgentAnalyticsInputs, AgentAnalyticsSettings
from flows.report.telling import told_agents_answer

# Where the rows go: without it there is nothing to do.
OF_THE_STORE = (
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreOutdatedError,
    StoreUnusableError,
)


@summarized(SLUG, is_published_whole=True)
@flow(name="agent-analytics", flow_run_name=RunName("agent-analytics raw+marts, to {now}"))
def refresh(
    inputs: AgentAnalyticsInputs = AgentAnalyticsInputs(),
    settings: AgentAnalyticsSettings = AgentAnalyticsSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Load new telemetry, commits and Copilot files, rebuild the marts, publish them.

    Args:
        inputs: Where to read. Files that were read before are read on from where reading ended.
        settings: Where to write to, and what a run may cost.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    logger = get_run_logger()
    progress = Progress(SLUG)
    if inputs.sample:
        made = make_sample(inputs.sample)
        progress.update("made-up sample input, as none is configured", 1, 1)
        inputs = revised(made, repositories=inputs.repositories)
    store = store_of(settings)
    failed: list[PlatformError] = []

    def work() -> Worked:
        counts, landed = sync.loaded(store, lambda: _load_all(inputs, settings, progress, failed))
        logger.info(
            "%s rows new, %s known before, %s pieces put aside",
            f"{counts.rows_new:,}",
            f"{counts.rows_repeated:,}",
            f"{counts.rejected:,}",
        )
        publish_load(SLUG, counts.rows_new, (*_of_nothing(inputs), *_put_aside(counts)))
        return counts, landed, build_and_publish(settings, dbt, progress)

    counts, landed, outcome = work_on(store, "agent-analytics", settings.lock_timeout_seconds, work)
    announce(landed)
    if settings.published_to:
        publish_copy(settings.published_to, settings)
    _summarize(settings, counts, outcome, started, _of_nothing(inputs))
    if failed:
        sources = sum(1 for _ in _loads(inputs, settings, progress))
        raise SourcesFailedError(
            "Taking in what the sources hold",
            f"{failed_of(len(failed), sources, 'source')}:\n"
            + "\n".join(f"- {each}" for each in failed),
            "Mend these and run again; what is loaded is not loaded twice",
        )


def _load_all(
    inputs: AgentAnalyticsInputs,
    settings: AgentAnalyticsSettings,
    progress: Progress,
    failed: list[PlatformError],
) -> LoadCounts:
    """Every source; one that fails is in ``failed`` then, and keeps the others not out."""
    failed.clear()
    counts = LoadCounts()
    for load in _loads(inputs, settings, progress):
        try:
            counts += load()
        except OF_THE_STORE:
            raise
        except PlatformError as error:
            failed.append(error)
    return counts


def _loads(
    inputs: AgentAnalyticsInputs, settings: AgentAnalyticsSettings, progress: Progress
) -> Iterator[Callable[[], LoadCounts]]:
    yield partial(load_telemetry_files, inputs.telemetry or (_inbox(),), settings, progress)
    if settings.inbox_block:
        yield partial(load_inbox, settings, progress)
    if inputs.commits or inputs.repositories or settings.github_block:
        yield partial(load_commits, inputs, settings)
    if inputs.copilot:
        yield partial(load_copilot_files, inputs.copilot, settings)
    for error in filter(None, map(source.missing, inputs.patterns)):
        yield partial(_fail, error)


def _fail(error: PlatformError) -> LoadCounts:
    raise error


def _inbox() -> str:
    """Where the receiver puts what it was sent."""
    return str(state_dir() / SLUG / "inbox")


def _put_aside(counts: LoadCounts) -> tuple[str, ...]:
    if not counts.rejected:
        return ()
    return (
        f"{counted(counts.rejected, 'piece')} of input put aside or doubtful: see raw.rejected",
    )


def _of_nothing(inputs: AgentAnalyticsInputs) -> tuple[str, ...]:
    return tuple(
        f"No file fits the pattern {pattern} of the parameter `inputs`"
        for pattern in filter(source.fits_nothing, inputs.patterns)
    )


def _summarize(
    settings: AgentAnalyticsSettings,
    counts: LoadCounts,
    outcome: DbtOutcome | None,
    started: float,
    notes: tuple[str, ...] = (),
) -> None:
    store = store_of(settings)
    notes += sync.warnings_of(store) if outcome else ()
    if outcome:
        tell_budgets(store)
    for note in notes:
        get_run_logger().warning("%s", note)
    notes += _put_aside(counts)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=counts.rows_new,
            models_built=outcome.models_built if outcome else 0,
            models_unchanged=outcome.models_unchanged if outcome else 0,
            tests_unchanged=outcome.tests_unchanged if outcome else 0,
            tests_passed=outcome.tests_passed if outcome else 0,
            warnings=outcome.warnings if outcome else 0,
            failures=outcome.failures if outcome else 0,
            seconds=time.monotonic() - started,
            look=where_to_look(settings),
            troubles=(*notes, *(outcome.told if outcome else ())),
            answer=told_agents_answer(store.published_path),
        ),
    )


@task(
    name="fetch copilot reports",
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def fetch_copilot(
    organization: str, days: Sequence[date], settings: AgentAnalyticsSettings
) -> LoadCounts:
    """All days in one transaction: a try that fails half-way leaves nothing behind."""
    token = secret_value(settings.copilot_token_block)
    with source.copilot_client(settings.copilot_api, token) as copilot:
        if settings.copilot_report == "legacy":
            return sync.load_copilot(store_of(settings), copilot.fetch_legacy(organization, days))
        rows = chain.from_iterable(copilot.fetch_day(organization, day) for day in days)
        return sync.load_copilot(store_of(settings), rows)


@summarized(SLUG, is_published_whole=True)
@flow(
    name="agent-analytics-copilot",
    flow_run_name=RunName("agent-analytics raw+marts, Copilot of {days_back} days to {now}"),
)
def refresh_copilot(
    days_back: int = 3,
    settings: AgentAnalyticsSettings = AgentAnalyticsSettings(),
    dbt: DbtOptions = DbtOptions(select=("stg_copilot_metrics+",)),
) -> None:
    """Fetch the Copilot reports of the last days and rebuild what rests on them.

    Args:
        days_back: Days fetched again, yesterday being the last: reports are corrected for a while.
        settings: The organization, the token's block, where to write to.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    if not settings.organization:
        raise PermanentError(
            "Fetching Copilot reports",
            "no organization is named",
            "Give it in the parameter `settings`, as `organization`",
        )
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(days_back, 0, -1)]
    store = store_of(settings)
    organization = settings.organization
    progress = Progress(SLUG)

    def work() -> Worked:
        counts, landed = sync.loaded(store, lambda: fetch_copilot(organization, days, settings))
        publish_load(SLUG, counts.rows_new, _put_aside(counts))
        # A part can be built only where the rest of it was before.
        all_of_it = revised(dbt, select=(), exclude=())
        chosen = dbt if store.published_path.exists() else all_of_it
        return counts, landed, build_and_publish(settings, chosen, progress)

    counts, landed, outcome = work_on(
        store, "agent-analytics-copilot", settings.lock_timeout_seconds, work
    )
    announce(landed)
    if settings.published_to:
        publish_copy(settings.published_to, settings)
    _summarize(settings, counts, outcome, started)


@summarized(f"{SLUG}_report", SLUG, is_published_whole=True)
@flow(
    name="agent-analytics-report",
    flow_run_name=RunName("agent-analytics marts as Parquet, as of {now}"),
)
def report(
    folder: Path | None = None, settings: AgentAnalyticsSettings = AgentAnalyticsSettings()
) -> None:
    """Export the published marts as Parquet and say what needs attention. Blocks nobody.

    Args:
        folder: Where the files go. Default: `parquet` beside the DuckDB file.
        settings: Where the DuckDB file is.
    """
    started = time.monotonic()
    store = store_of(settings)
    if not store.published_path.exists():
        raise PermanentError(
            f"Reading {store.published_path}",
            "nothing was published yet",
            "Run the flow agent-analytics first",
        )
    target = folder or store.path.parent / PARQUET
    written = store.export_marts(target)
    get_run_logger().info("%s marts written to %s", len(written), target)
    notes = sync.warnings_of(store)
    publish_summary(
        f"{SLUG}_report",
        RunSummary(
            rows_loaded=0,
            models_built=0,
            tests_passed=0,
            warnings=len(notes),
            failures=0,
            seconds=time.monotonic() - started,
            look=(str(target),),
            troubles=notes,
            answer=told_agents_answer(store.published_path),
        ),
    )
