"""A dbt command from its options to its outcome."""

import importlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from flows._shared.counted import counted
from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt.invocation import invoke_dbt
from flows._shared.orchestration.dbt.job import Job, exclusive, open_job, verb_of
from flows._shared.orchestration.dbt.options import REFRESHING, SELECTING, DbtOptions
from flows._shared.orchestration.dbt.outcome import DbtOutcome, DbtProjectError
from flows._shared.orchestration.dbt.preparation import install_packages, take_over_parsed
from flows._shared.orchestration.dbt.question import Planning
from flows._shared.orchestration.dbt.recalled import Recall, write_empty_results
from flows._shared.orchestration.dbt.results import (
    failure_of,
    idle_result,
    keep_artifacts,
    node_result,
    publish_freshness,
    publish_nodes,
    refuse_empty,
    results_of,
    stopped_results,
    unchanged_result,
)
from flows._shared.orchestration.dbt_nodes import NodeReporter, NodeResult, NodeWatch

BRAKE_VARIABLE = "FLOWS_BRAKE"
_one_at_a_time = threading.Lock()


class ReportsProgress(Protocol):
    """What `Progress` offers."""

    def update(
        self, phase: str, done: int, total: int | None = None, rows: int | None = None
    ) -> None: ...


def build_dbt(
    project: str,
    environment: Mapping[str, str],
    options: DbtOptions = DbtOptions(),
    *,
    command: str = "build",
    progress: ReportsProgress | None = None,
    projects_dir: Path | None = None,
    leaves_out: bool | None = None,
) -> DbtOutcome:
    """Run one dbt command on ``dbt_projects/<project>`` and show its nodes in the flow run.

    A build leaves out what cannot have changed since its last success, and says so in the outcome
    (`flows._shared.orchestration.dbt.plan`).

    Args:
        project: folder name under ``projects_dir``, which is ``dbt_projects`` of this clone unless
            ANALYTICS_FLOWS_DBT_PROJECTS_DIR names another.
        environment: variables of profiles.yml, set for the length of this call.
        command: build, run, test, seed, snapshot, ``docs generate``, ``run-operation <macro>``.
        progress: told about once a second how many nodes are done, as the phase "dbt".
        leaves_out: as the options say, unless given: a flow whose selection is its own gives it.

    Raises:
        DbtProjectError: unknown project, broken project or profile, nothing selected.
        DbtUnreachableError: no connection to the warehouse.
        DbtBuildError: nodes failed; everything independent of them was built, artifacts are there.
    """
    began = time.monotonic()
    verb = verb_of(command)
    with _one_at_a_time:
        job = open_job(project, environment, options, command, projects_dir)
        brake = {BRAKE_VARIABLE: "off" if options.release_brake else "on"}
        with set_environment({**environment, **brake}), exclusive(job.target_path / ".lock"):
            install_packages(job)
            planning = Planning(options.leaves_out if leaves_out is None else leaves_out)
            recall = Recall(job, options) if verb == "build" and planning.leaves_out else None
            nothing_new = recall.nothing_new() if recall else None
            if nothing_new:
                return _without_dbt(job, progress, began, nothing_new)
            take_over_parsed(job, options)
            outcome, unmatched = _run(job, verb, options, progress, began, planning)
            if recall and not (outcome.failed or outcome.remarks or unmatched):
                recall.keep(planning.question)
    if verb in SELECTING and verb != "docs generate":
        refuse_empty(job, outcome, unmatched, options)
    if outcome.failed:
        raise failure_of(job, outcome, verb)
    return outcome


def preload_dbt() -> None:
    """Import dbt in the background: a flow that first waits for a network calls this before it.

    The two seconds of the import then pass while the flow waits. Returns at once.
    """
    threading.Thread(target=_import_dbt, name="import-dbt", daemon=True).start()


def _import_dbt() -> None:
    with suppress(ImportError):
        importlib.import_module("flows._shared.orchestration.dbt_runner")


def run_dbt_freshness(
    project: str,
    environment: Mapping[str, str],
    options: DbtOptions = DbtOptions(),
    *,
    projects_dir: Path | None = None,
) -> DbtOutcome:
    """Judge the age of a project's sources: stale past ``warn_after`` is a warning in the outcome.

    Raises:
        DbtFreshnessError: past ``error_after``, or a source that could not be looked at.
        and as `build_dbt`; no source with a freshness at all is a DbtProjectError.
    """
    return build_dbt(
        project, environment, options, command="source freshness", projects_dir=projects_dir
    )


def _run(
    job: Job,
    verb: str,
    options: DbtOptions,
    progress: ReportsProgress | None,
    began: float,
    planning: Planning,
) -> tuple[DbtOutcome, list[str]]:
    """The command itself: its outcome, published, and the selectors that matched nothing."""
    tick = _ticking(progress)
    with (job.artifacts_dir / "dbt.log").open("w", encoding="utf-8") as log:

        def tell(level: str, line: str) -> None:
            log.write(f"{datetime.now(UTC):%H:%M:%S} {level:5} {line}\n")
            if level == "error":
                job.logger.error("%s", line)
            elif level == "warn":
                job.logger.warning("%s", line)

        watch = NodeWatch(tell, job.redact)
        reporter = _reporter(job, watch, tick)
        results: list[NodeResult] = []

        def outcome_so_far(nodes: tuple[NodeResult, ...]) -> DbtOutcome:
            seconds = time.monotonic() - began
            return DbtOutcome(nodes, seconds, job.artifacts_dir, tuple(watch.warnings))

        try:
            result = invoke_dbt(job, _arguments(job, verb, options), watch, planning)
            results = [node_result(job, each, watch) for each in results_of(result)]
        finally:
            if reporter:
                reporter.finish(results)
            if job.api and not results and watch.statuses:
                publish_nodes(job, job.api, outcome_so_far(stopped_results(watch)))
    outcome = outcome_so_far((*results, *_unchanged(job, planning)))
    _published(job, verb, outcome, planning)
    tick(watch)
    if not result.success and not outcome.failed:
        raise DbtProjectError(
            job.attempted, "dbt failed without saying at which node", f"See {log.name}"
        )
    return outcome, watch.unmatched


def _without_dbt(
    job: Job, progress: ReportsProgress | None, began: float, planning: Planning
) -> DbtOutcome:
    """As a build that had nothing to do but to name some nodes."""
    question = planning.question
    assert question is not None
    line = f"{datetime.now(UTC):%H:%M:%S} info  Nothing is new: dbt was not started\n"
    (job.artifacts_dir / "dbt.log").write_text(line, encoding="utf-8")
    tick = _ticking(progress)
    watch = NodeWatch(lambda level, line: None, job.redact)
    watch.total = len(question.idle)
    idle = [idle_result(question.shown[each]) for each in question.idle]
    if reporter := _reporter(job, watch, tick):
        reporter.finish(idle)
    nodes = (*idle, *_unchanged(job, planning))
    outcome = DbtOutcome(nodes, time.monotonic() - began, job.artifacts_dir)
    write_empty_results(job, planning)
    _published(job, "build", outcome, planning)
    tick(watch)
    return outcome


def _ticking(progress: ReportsProgress | None) -> Callable[[NodeWatch], None]:
    def tick(watch: NodeWatch) -> None:
        if progress:
            statuses = list(watch.statuses.values())
            # dbt's own count leaves out unit tests.
            total = max(watch.total, len(statuses)) if watch.total else None
            progress.update("dbt", sum(status.is_finished for status in statuses), total)

    return tick


def _unchanged(job: Job, planning: Planning) -> list[NodeResult]:
    unchanged = [unchanged_result(node, last) for node, last in planning.left_out]
    if unchanged:
        job.logger.info(
            "%s left out: neither their code nor what they read has changed since they were built",
            counted(len(unchanged), "node"),
        )
    return unchanged


def _published(job: Job, verb: str, outcome: DbtOutcome, planning: Planning) -> None:
    keep_artifacts(job, verb)
    if job.api:
        publish_nodes(job, job.api, outcome)
        publish_freshness(job, job.api, planning, outcome)


def _reporter(job: Job, watch: NodeWatch, tick: Callable[[NodeWatch], None]) -> NodeReporter | None:
    if job.api is None:
        return None
    reporter = NodeReporter(job.api, watch, job.logger, tick)
    reporter.start()
    return reporter


def _arguments(job: Job, verb: str, options: DbtOptions) -> list[str]:
    arguments = job.command.split()
    # dbt's runner keeps the last of several --select flags only: one flag with all the values.
    if options.select and verb in SELECTING:
        arguments += ["--select", *options.select]
    if options.exclude and verb in SELECTING:
        arguments += ["--exclude", *options.exclude]
    if options.full_refresh and verb in REFRESHING:
        arguments.append("--full-refresh")
    if options.variables:
        arguments += ["--vars", json.dumps(options.variables)]
    if options.target:
        arguments += ["--target", options.target]
    if options.threads and verb != "run-operation":
        arguments += ["--threads", str(options.threads)]
    return arguments
