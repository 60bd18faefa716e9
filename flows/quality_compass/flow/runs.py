"""Order, retries and artifacts of Quality Compass: load runs, audit, build, tell what is new."""

import time
from collections.abc import Mapping, Sequence

from prefect import flow, get_run_logger, task

from flows._shared.counted import counted, failed_of
from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows._shared.orchestration.credentials import building_block, dbt_postgres_env
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import (
    DbtFreshnessError,
    DbtOptions,
    build_dbt,
    run_dbt_freshness,
)
from flows._shared.orchestration.events import emit_landed
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
from flows.quality_compass import marts, raw, sync
from flows.quality_compass.flow.finding import find_all, open_storage, outcome_of
from flows.quality_compass.flow.verifying import verify_run
from flows.quality_compass.records import EXAMPLE_QUERY, Findings, LoadCounts, Run, RunsFailedError
from flows.quality_compass.settings import QualityCompassSettings, RunsRequest
from flows.report.telling import told_answer

SLUG = "quality_compass"
# A storage or a database that is down is not tried once more for each run there is.
MOST_IN_A_ROW = 3


class DisagreementError(PermanentError):
    """A run claims figures that its own data does not give."""


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def prepare(database_block: str) -> None:
    with connect(database_block) as connection:
        raw.ensure_schema(connection)


@task(
    task_run_name="load-{run.run_id}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def load_run(run: Run, settings: QualityCompassSettings) -> LoadCounts:
    started = time.monotonic()
    with connect(settings.database_block) as connection:
        counts = sync.load(connection, run, open_storage(settings), settings)
    get_run_logger().info(
        "%s: %s of %s files changed, %s rows written, %s lines quarantined in %.1f s",
        run.run_id,
        counts.files_changed,
        counts.files,
        counts.rows,
        counts.quarantined,
        time.monotonic() - started,
    )
    return counts


@task(
    task_run_name="tell-{counts.run_id}",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def tell_landed(counts: LoadCounts) -> None:
    """One event for each raw table in which a load wrote rows."""
    for table, rows in counts.rows_by_table.items():
        emit_landed(
            SLUG,
            table=table,
            batch=f"{counts.run_id} of {counts.changed_at.isoformat()}",
            rows=rows,
            max_timestamp=counts.started_at,
        )


@task(name="publish signals")
def publish_signals(settings: QualityCompassSettings) -> None:
    """The artifact ``quality-compass-signals``: what is new, worse, better since the last run."""
    api = current_flow_run()
    with connect(settings.database_block) as connection:
        changes = marts.read_changes(connection)
    if api is not None and changes is not None:
        api.create_markdown(
            "quality-compass-signals", marts.describe_changes(changes), "Signals since the last run"
        )


@summarized(SLUG)
@flow(
    name="quality-compass",
    flow_run_name=RunName("quality-compass raw+marts, runs to {now}"),
)
def refresh(
    runs: RunsRequest = RunsRequest(),
    settings: QualityCompassSettings = QualityCompassSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Load insight-graph runs, build the marts and say which signals are new, worse or better.

    Fails after all of it when a run could not be loaded, the others being there, or when a source
    is older than its freshness allows; generated sample runs may be of any age.

    Args:
        runs: Which runs to load, and whether to audit them. Default: all that are new at the
            `addresses` of the settings.
        settings: Where to read from and write to, and the constants of the audit.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    plan = sync.plan(runs, settings, builds_anew=dbt.full_refresh or dbt.release_brake)
    prepare(settings.database_block)
    found = Findings() if plan is sync.Plan.BUILD_ONLY else find_all(runs, settings)
    failed = [str(error) for error in found.refused]
    counts = _load(found.runs, settings, progress, failed)
    loaded = [run for run in found.runs if run.run_id in {each.run_id for each in counts}]
    disagreed = _verify(loaded, runs, settings, progress, failed)
    rows = sum(each.rows for each in counts)
    notes = (*found.notes, *sync.notes(plan, counts, disagreed), *sync.absent(loaded))
    publish_load(SLUG, rows, (*failed, *notes))
    environment = dbt_postgres_env(building_block(settings))
    outcome = build_dbt(SLUG, environment, dbt, progress=progress)
    stale, warnings = _judge_freshness(environment, dbt)
    publish_signals(settings)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=rows,
            models_built=outcome.models_built,
            models_unchanged=outcome.models_unchanged,
            tests_passed=outcome.tests_passed,
            tests_unchanged=outcome.tests_unchanged,
            warnings=outcome.warnings + warnings,
            failures=outcome.failures + len(failed) + (stale is not None),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=notes,
            troubles=(
                *failed,
                *outcome.told,
                *([f"Sources are stale: {stale.seen}"] if stale else []),
            ),
            answer=told_answer(SLUG, settings.database_block),
        ),
    )
    if failed:
        listed = "\n".join(f"- {reason}" for reason in failed)
        raise RunsFailedError(
            f"loading {counted(len(found.runs) + len(found.refused), 'run')}",
            f"{failed_of(len(failed), len(found.runs) + len(found.refused))}:\n{listed}",
            "Mend or remove these and run again",
        )
    if stale is not None and plan is not sync.Plan.SAMPLE:
        raise stale
    total = sum(disagreed.values())
    if total and runs.fail_on_disagreement:
        raise DisagreementError(
            f"verifying {counted(len(loaded), 'run')}",
            f"{counted(total, 'claim does', 'claims do')} not agree with the recomputation",
            "See public.raw_disagreements; everything was loaded and built",
        )


def _judge_freshness(
    environment: Mapping[str, str], dbt: DbtOptions
) -> tuple[DbtFreshnessError | None, int]:
    """What is wrong with the age of the sources, if it is an error, and the number of warnings.

    After the build: what has arrived is in the marts even when something else did not arrive.
    """
    try:
        outcome = run_dbt_freshness(SLUG, environment, DbtOptions(target=dbt.target))
    except DbtFreshnessError as error:
        return error, error.outcome.warnings if error.outcome else 0
    return None, outcome.warnings


def _load(
    found: Sequence[Run],
    settings: QualityCompassSettings,
    progress: Progress,
    failed: list[str],
) -> list[LoadCounts]:
    """Each run by itself: what keeps one from being loaded is noted, and is no reason to leave the
    next. Only what is down for several in a row is asked no more."""
    counts: list[LoadCounts] = []
    in_a_row = 0
    for done, run in enumerate(found):
        progress.update("load", done, len(found), sum(each.rows for each in counts))
        if in_a_row == MOST_IN_A_ROW:
            failed.append(f"{run.run_id}: not tried, after {in_a_row} that were not reached")
            continue
        result = outcome_of(load_run(run, settings, return_state=True))
        if isinstance(result, LoadCounts):
            in_a_row = 0
            counts.append(result)
            if result.rows:
                tell_landed(result)
        else:
            in_a_row = in_a_row + 1 if isinstance(result, TransientError) else 0
            failed.append(f"{run.run_id}: {_reason(result)}")
    progress.update("load", len(found), len(found), sum(each.rows for each in counts))
    return counts


def _verify(
    loaded: Sequence[Run],
    request: RunsRequest,
    settings: QualityCompassSettings,
    progress: Progress,
    failed: list[str],
) -> dict[str, int]:
    if not request.verify:
        return {}
    disagreed: dict[str, int] = {}
    for done, run in enumerate(loaded):
        progress.update("verify", done, len(loaded))
        result = outcome_of(verify_run(run, settings, return_state=True))
        if isinstance(result, int):
            disagreed[run.run_id] = result
        else:
            failed.append(f"{run.run_id} was not verified: {_reason(result)}")
    progress.update("verify", len(loaded), len(loaded))
    return disagreed


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
