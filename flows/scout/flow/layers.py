"""Building the layers, scoring them, and publishing their documentation."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import fsspec
from prefect import flow, get_run_logger, task
from pydantic import ValidationError

from flows._shared.counted import failed_of
from flows._shared.errors import PlatformError
from flows._shared.events import Event, QualityLow
from flows._shared.orchestration.credentials import building_block, dbt_postgres_env
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.dbt import DbtBuildError, DbtOptions, DbtOutcome, build_dbt
from flows._shared.orchestration.dbt_nodes import UNCHANGED
from flows._shared.orchestration.events import send_events
from flows._shared.orchestration.failed_run import summarized
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import (
    Progress,
    RunSummary,
    publish_load,
    publish_summary,
)
from flows._shared.revised import revised
from flows._shared.state import state_dir
from flows.report.telling import told_answer
from flows.scout import raw
from flows.scout.flow.databases import prepare
from flows.scout.flow.intake import take_in
from flows.scout.records import EXAMPLE_QUERY, FilesFailedError, LayerRefusedError, QualityScore
from flows.scout.rules import describe_rejections, names_layers, quality_score, selectors, takes_in
from flows.scout.settings import ScoutSettings
from flows.scout.sync import SLUG, Intake, list_failed

# They read whole tables, or no data at all: run with a full refresh, and by hand.
TESTS_OF_FULL_REFRESH = ("tag:whole_table", "test_type:unit")
GATE_OF_MISSING = "critical_fields_are_missing_in_less_than_5_percent"
GATES = ("silver_is_at_least_80_percent_of_bronze", GATE_OF_MISSING)
# They tell why a gate is shut, and dbt skips what is built from all that a shut gate looks at.
REPORTS_OF_GATES = ("rpt_scout_rejections", "rpt_scout_intake")


def build_layers(
    settings: ScoutSettings, options: DbtOptions, progress: Progress, leaves_out: bool = False
) -> DbtOutcome:
    """One build at a time per database, whichever deployment or machine it runs on."""
    with (
        connect(settings.database_block) as connection,
        raw.one_build_at_a_time(connection),
    ):
        environment = dbt_postgres_env(building_block(settings))
        return build_dbt(SLUG, environment, options, progress=progress, leaves_out=leaves_out)


def layer_options(layer: str, dbt: DbtOptions) -> DbtOptions:
    """How a layer is built.

    Raises:
        LayerRefusedError: the layer is neither one of the five nor dbt selectors.
    """
    spared = () if dbt.full_refresh else TESTS_OF_FULL_REFRESH
    try:
        chosen = selectors(layer) or dbt.select
        return revised(dbt, select=chosen, exclude=(*dbt.exclude, *spared))
    except ValidationError as error:
        raise LayerRefusedError(
            f"Building the layer {layer!r}",
            "; ".join(each["msg"] for each in error.errors()),
            "Name bronze, silver, gold, platinum, all, or dbt selectors such as `silver+`",
        ) from None


@summarized(SLUG)
@flow(name="scout", flow_run_name=RunName("scout {layer}, to {now}"))
def refresh(
    layer: str = "all",
    settings: ScoutSettings = ScoutSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Take in new files and build the layers.

    Args:
        layer: `bronze`, `silver`, `gold`, `platinum`, `all`, or dbt selectors such as `silver+`.
            Files are read when it is `all` or names bronze.
        settings: Where to read from and write to.
        dbt: How to build; `select` here narrows nothing when `layer` names a layer.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    options = layer_options(layer, dbt)
    prepare(settings.database_block)
    intake = take_in(settings, progress) if takes_in(layer) else Intake()
    for note in intake.notes:
        get_run_logger().info(note)
    failures = tuple(f"{name}: {reason}" for name, reason in intake.failed)
    publish_load(SLUG, intake.rows_loaded, (*failures, *intake.notes))
    try:
        # A layer is the flow's own selection; selectors are somebody's.
        leaves_out = dbt.leaves_out and names_layers(layer)
        outcome = build_layers(settings, options, progress, leaves_out)
    except DbtBuildError as error:
        told = explained(error, settings, intake)
        if shut_gates(error) and (reports := reports_held_back(error)):
            build_reports(reports, settings, dbt)
        raise told from None
    unchanged = [node.name for node in outcome.nodes if node.status == UNCHANGED]
    low = alerts(score_quality(settings, unchanged), settings)
    for line in low:
        get_run_logger().warning(line)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=intake.rows_loaded,
            models_built=outcome.models_built,
            models_unchanged=outcome.models_unchanged,
            tests_passed=outcome.tests_passed,
            tests_unchanged=outcome.tests_unchanged,
            warnings=outcome.warnings + len(low),
            failures=outcome.failures + len(intake.failed),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=intake.notes,
            troubles=(*low, *outcome.told, *failures),
            answer=told_answer(SLUG, settings.database_block),
        ),
    )
    if intake.failed:
        good = len(intake.counts) + intake.delivered
        raise FilesFailedError(
            "Taking in what the sources hold",
            f"{failed_of(len(intake.failed), len(intake.failed) + good)}:\n"
            f"{list_failed(intake.failed)}",
            "Mend or remove these and run again; what is loaded is not loaded twice",
        )


def shut_gates(error: DbtBuildError) -> list[str]:
    failed = error.outcome.failed if error.outcome else ()
    return [gate for gate in GATES if any(node.label.endswith(gate) for node in failed)]


def reports_held_back(error: DbtBuildError) -> tuple[str, ...]:
    skipped = error.outcome.skipped if error.outcome else ()
    return tuple(
        report
        for report in REPORTS_OF_GATES
        if any(each.label.endswith(report) for each in skipped)
    )


def build_reports(reports: tuple[str, ...], settings: ScoutSettings, dbt: DbtOptions) -> None:
    """What the report shows of rejected payloads; a failure is told and takes no other's place."""
    options = revised(dbt, select=reports, exclude=(*dbt.exclude, *TESTS_OF_FULL_REFRESH))
    try:
        build_layers(settings, options, Progress(SLUG))
    except PlatformError as error:
        get_run_logger().warning("The report of rejected payloads was not built: %s", error)


def explained(error: DbtBuildError, settings: ScoutSettings, intake: Intake) -> DbtBuildError:
    """The same failure, with what silver rejected where a gate is shut, and files that failed."""
    seen = error.seen
    if gates := shut_gates(error):
        with connect(settings.database_block) as connection:
            counted = raw.commonest_rejections(connection, gates == [GATE_OF_MISSING])
        seen += describe_rejections(counted)
        seen += "\nEach is in silver.silver_rejected_transactions, with its payload"
    if intake.failed:
        seen += f"\nFiles and sources that failed:\n{list_failed(intake.failed)}"
    return DbtBuildError(error.attempted, seen, error.remedy, error.outcome)


@task(name="score quality")
def score_quality(settings: ScoutSettings, unchanged: list[str]) -> tuple[QualityScore, ...]:
    """Score every table that is there and keep the scores."""
    now, window = datetime.now(UTC), timedelta(days=settings.quality.window_days)
    with connect(settings.database_block) as connection:
        scores = tuple(
            QualityScore(measures, *quality_score(measures, settings.quality))
            for measures in raw.measure_quality(connection, now, window, unchanged)
        )
        raw.record_scores(connection, scores, now)
    return scores


def alerts(scores: Sequence[QualityScore], settings: ScoutSettings) -> tuple[str, ...]:
    """A line for each table whose score is too low; each is also an event, for automations."""
    low = [each for each in scores if each.score < settings.quality.alert_below]
    if low:
        tell_low([each.measures.table for each in low], [each.score for each in low], settings)
    return tuple(
        f"Quality of {each.measures.table} is {each.score:.0f}, below "
        f"{settings.quality.alert_below:.0f} (completeness {each.measures.completeness:.0f}, "
        f"uniqueness {each.measures.uniqueness:.0f}, timeliness {each.timeliness:.0f})"
        for each in low
    )


@task(
    name="tell low quality",
    retries=3,
    retry_delay_seconds=[1, 5, 20],
    retry_condition_fn=retry_transient,
)
def tell_low(tables: list[str], scores: list[float], settings: ScoutSettings) -> None:
    limit = settings.quality.alert_below
    send_events(
        [
            Event(
                uuid4(),
                "scout.quality.low",
                f"scout.table.{table}",
                QualityLow(score=round(score, 1), alert_below=limit),
            )
            for table, score in zip(tables, scores, strict=True)
        ]
    )


@flow(name="scout-docs", flow_run_name=RunName("scout docs of all layers, as of {now}"))
def publish_docs(settings: ScoutSettings = ScoutSettings()) -> None:
    """Write the dbt documentation of the layers, a site of three files, to where people read it.

    Args:
        settings: `docs_folder` says where; the database tells which tables and columns are there.
    """
    outcome = build_dbt(SLUG, dbt_postgres_env(building_block(settings)), command="docs generate")
    folder = settings.docs_folder or str(state_dir() / "scout" / "docs")
    # The manifest of the run has no secrets in it; the others hold none.
    target = outcome.artifacts_dir.parents[1]
    for file in (
        target / "index.html",
        target / "catalog.json",
        outcome.artifacts_dir / "manifest.json",
    ):
        with fsspec.open(f"{folder.rstrip('/')}/{file.name}", "wb", auto_mkdir=True) as copy:
            copy.write(file.read_bytes())
    get_run_logger().info("The documentation is in %s: open index.html from a web server", folder)
