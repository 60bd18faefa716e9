"""One way to build dbt from a flow.

    outcome = build_dbt("github_scraper", dbt_postgres_env("github-scraper-postgres"), options)

dbt runs in this process through prefect-dbt's runner, once at a time. Its nodes show up in the flow
run as task runs while it runs and as the table artifact ``<slug>-dbt-nodes`` afterwards.

    DbtProjectError     the project, its profile or its selection is wrong: nothing was built
    DbtUnreachableError the warehouse did not answer: another try may help
    DbtBuildError       nodes failed; carries the outcome
    DbtFreshnessError   sources are stale; carries the outcome
"""

import fcntl
import gc
import importlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from flows._shared.environment import set_environment
from flows._shared.errors import PermanentError, TransientError
from flows._shared.orchestration.cancellation import stops_with_the_run
from flows._shared.orchestration.dbt_nodes import (
    FAILED,
    MESSAGES,
    PASSED,
    NodeReporter,
    NodeResult,
    NodeWatch,
)
from flows._shared.orchestration.flow_run import (
    FlowRunApi,
    Logger,
    current_flow_run,
    run_logger,
)
from flows._shared.state import state_dir

ROOT = Path(__file__).resolve().parents[3]
SELECTING = frozenset(
    {"build", "run", "test", "seed", "snapshot", "docs generate", "source freshness"}
)
REFRESHING = frozenset({"build", "run", "seed"})
COMMANDS = SELECTING | {"run-operation"}
RUNS_KEPT = 20
OBJECTS_BETWEEN_COLLECTIONS = 50_000
# Methods, paths, graph operators and joins of dbt; an option begins with a dash.
SELECTOR = re.compile(r"[\w+@*][\w+@*.:,/?\[\]=-]*")
BRAKE_VARIABLE = "FLOWS_BRAKE"
PARSED_VARIABLE = "ANALYTICS_FLOWS_DBT_PARSED_DIR"
# Shorter values are words that messages need; no password of a real system is that short.
SHORTEST_SECRET = 4
SECRET_NAME = re.compile("SECRET|PASSWORD|TOKEN", re.IGNORECASE)
UNREACHABLE = re.compile(
    "connection refused|could not connect|connection to server .* failed|timeout expired"
    "|could not translate host name|server closed the connection|too many clients"
    "|the database system is starting up|could not set lock on file",
    re.IGNORECASE,
)
# A wrong password is told in the words of a failed connection, and no retry mends it.
REFUSED = re.compile("authentication failed|does not exist|no password supplied", re.IGNORECASE)

_one_at_a_time = threading.Lock()


class DbtProjectError(PermanentError):
    """The project, its profile or its selection is wrong; nothing was built."""


class DbtUnreachableError(TransientError):
    """The warehouse did not answer dbt."""


class DbtBuildError(PermanentError):
    """Nodes failed, after everything independent of them was built."""

    def __init__(
        self, attempted: str, seen: str, remedy: str, outcome: "DbtOutcome | None" = None
    ) -> None:
        super().__init__(attempted, seen, remedy)
        self.outcome = outcome


class DbtFreshnessError(DbtBuildError):
    """Sources are older than their freshness allows, or could not be looked at."""


class ReportsProgress(Protocol):
    """What `Progress` offers."""

    def update(
        self, phase: str, done: int, total: int | None = None, rows: int | None = None
    ) -> None: ...


class DbtOptions(BaseModel):
    """What an operator may turn about one dbt build: the form of a flow parameter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    select: tuple[str, ...] = Field(
        (), description="Node selectors, any of which is enough: `leaderboard+`, `tag:daily`."
    )
    exclude: tuple[str, ...] = Field((), description="Node selectors to leave out.")
    full_refresh: bool = Field(False, description="Rebuild incremental models from nothing.")
    variables: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="dbt variables. A change makes dbt read the whole project anew.",
    )
    release_brake: bool = Field(
        False,
        description="Publish tables that lost all of their rows, more than half of them, or their "
        "grain: without it they stay as they were, and the run fails and says so.",
    )
    target: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Target of profiles.yml; empty for the profile's default.",
    )
    threads: int | None = Field(
        None, ge=1, le=64, description="Nodes built at a time; empty for the profile's number."
    )

    @field_validator("select", "exclude")
    @classmethod
    def _are_selectors(cls, selectors: tuple[str, ...]) -> tuple[str, ...]:
        for selector in selectors:
            parts = selector.split()
            if not parts or any(not SELECTOR.fullmatch(part) for part in parts):
                raise ValueError(f"{selector!r} is not a dbt selector")
        return selectors


@dataclass(frozen=True)
class DbtOutcome:
    """How a dbt command ended. ``artifacts_dir`` keeps this run's run_results.json, manifest.json,
    dbt.log and the compiled SQL of failures; ``seconds`` is wall time of the whole call. What dbt
    warned of besides results of nodes is in ``remarks``, each once."""

    nodes: tuple[NodeResult, ...]
    seconds: float
    artifacts_dir: Path
    remarks: tuple[str, ...] = ()

    @property
    def models_built(self) -> int:
        return sum(n.resource_type == "model" and n.status in PASSED for n in self.nodes)

    @property
    def tests_passed(self) -> int:
        return sum(
            n.resource_type in ("test", "unit_test") and n.status in PASSED for n in self.nodes
        )

    @property
    def warned(self) -> tuple[NodeResult, ...]:
        return tuple(n for n in self.nodes if n.status == "warn")

    @property
    def failed(self) -> tuple[NodeResult, ...]:
        return tuple(n for n in self.nodes if n.status in FAILED)

    @property
    def skipped(self) -> tuple[NodeResult, ...]:
        return tuple(n for n in self.nodes if n.status == "skipped")

    @property
    def warnings(self) -> int:
        return len(self.warned) + len(self.remarks)

    @property
    def failures(self) -> int:
        return len(self.failed)


def build_dbt(
    project: str,
    environment: Mapping[str, str],
    options: DbtOptions = DbtOptions(),
    *,
    command: str = "build",
    progress: ReportsProgress | None = None,
    projects_dir: Path | None = None,
) -> DbtOutcome:
    """Run one dbt command on ``dbt_projects/<project>`` and show its nodes in the flow run.

    Args:
        project: folder name under ``projects_dir``, which is ``dbt_projects`` of this clone unless
            ANALYTICS_FLOWS_DBT_PROJECTS_DIR names another.
        environment: variables of profiles.yml, set for the length of this call.
        command: build, run, test, seed, snapshot, ``docs generate``, ``run-operation <macro>``.
        progress: told about once a second how many nodes are done, as the phase "dbt".

    Raises:
        DbtProjectError: unknown project, broken project or profile, nothing selected.
        DbtUnreachableError: no connection to the warehouse.
        DbtBuildError: nodes failed; everything independent of them was built, artifacts are there.
    """
    began = time.monotonic()
    verb = _verb(command)
    with _one_at_a_time:
        job = _job(project, environment, options, command, projects_dir)
        brake = {BRAKE_VARIABLE: "off" if options.release_brake else "on"}
        with set_environment({**environment, **brake}), _exclusive(job.target_path / ".lock"):
            _install_packages(job)
            _take_over_parsed(job, options.target)
            outcome, unmatched = _run(job, verb, options, progress, began)
    if verb in SELECTING and verb != "docs generate":
        _refuse_empty(job, outcome, unmatched, options)
    if outcome.failed:
        raise _failure(job, outcome, verb)
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


@dataclass(frozen=True)
class _Job:
    """One dbt command, with its places and everything that must not be said aloud."""

    project: str
    command: str
    target: str | None
    project_dir: Path
    target_path: Path
    artifacts_dir: Path
    api: FlowRunApi | None
    logger: Logger
    redact: Callable[[str], str]

    @property
    def attempted(self) -> str:
        return f"dbt {self.command} of {self.project}"


def _job(
    project: str,
    environment: Mapping[str, str],
    options: DbtOptions,
    command: str,
    projects_dir: Path | None,
) -> _Job:
    projects = projects_dir or Path(
        os.environ.get("ANALYTICS_FLOWS_DBT_PROJECTS_DIR", ROOT / "dbt_projects")
    )
    project_dir = (projects / project).resolve()
    if not (project_dir / "dbt_project.yml").is_file():
        known = sorted(path.parent.name for path in projects.glob("*/dbt_project.yml"))
        raise DbtProjectError(
            f"dbt {command} of {project}",
            f"there is no {project_dir / 'dbt_project.yml'}",
            f"Name one of: {', '.join(known) or 'none are there'}",
        )
    target_path = (state_dir() / "dbt" / project / (options.target or "default")).resolve()
    api = current_flow_run()
    artifacts_dir = _new_run_dir(target_path / "runs", api)
    return _Job(
        project,
        command,
        options.target,
        project_dir,
        target_path,
        artifacts_dir,
        api,
        run_logger(__name__),
        _redaction({**os.environ, **environment}),
    )


def _verb(command: str) -> str:
    verb = "run-operation" if command.startswith("run-operation ") else command
    if verb not in COMMANDS or command == "run-operation":
        raise DbtProjectError(
            f"dbt {command}",
            "this command is not one a flow runs",
            f"Use one of: {', '.join(sorted(COMMANDS))} (run-operation with a macro's name)",
        )
    return verb


def _new_run_dir(runs: Path, api: FlowRunApi | None) -> Path:
    name = str(api.flow_run_id) if api else datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    runs.mkdir(parents=True, exist_ok=True)
    for old in sorted(runs.iterdir(), key=lambda path: path.stat().st_mtime)[: -RUNS_KEPT + 1]:
        shutil.rmtree(old, ignore_errors=True)
    attempt = 1
    while True:
        run_dir = runs / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            run_dir.mkdir()
            return run_dir
        except FileExistsError:
            attempt += 1


def _redaction(environment: Mapping[str, str]) -> Callable[[str], str]:
    """Replaces the values of variables whose name says that they are secret."""
    values = {
        form
        for name, value in environment.items()
        if SECRET_NAME.search(name) and len(value) >= SHORTEST_SECRET
        for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])
    }
    if not values:
        return lambda text: text
    pattern = re.compile("|".join(re.escape(v) for v in sorted(values, key=len, reverse=True)))
    return lambda text: pattern.sub("*****", text)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One build per project and target on a machine: builds share what dbt writes there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_packages(job: _Job) -> None:
    """``dbt deps`` where dbt_packages is missing or older than the file that lists them."""
    listings = [job.project_dir / name for name in ("packages.yml", "dependencies.yml")]
    listed = [path for path in listings if path.is_file()]
    if not listed:
        return
    # Two targets of one project share dbt_packages, so this lock is the project's.
    with _exclusive(job.target_path.parent / ".packages.lock"):
        installed = job.project_dir / "dbt_packages"
        newest = max(path.stat().st_mtime for path in listed)
        if installed.is_dir() and installed.stat().st_mtime >= newest:
            return
        if not os.access(job.project_dir, os.W_OK):
            raise DbtProjectError(
                f"dbt deps of {job.project}",
                f"{installed} is missing or out of date, and the folder cannot be written",
                "Run `dbt deps` there where it can be written, as at image build",
            )
        job.logger.info("installing the dbt packages of %s", job.project)
        _invoke(job, ["deps"], NodeWatch(lambda level, line: None, job.redact))
        installed.mkdir(exist_ok=True)
        os.utime(installed)


def _take_over_parsed(job: _Job, target: str | None) -> None:
    """Begin with what the image build parsed, where there is such a thing and nothing newer."""
    name = "partial_parse.msgpack"
    kept = Path(os.environ.get(PARSED_VARIABLE, ""), job.project, target or "default", name)
    if PARSED_VARIABLE in os.environ and kept.is_file() and not (job.target_path / name).exists():
        from flows._shared.orchestration.dbt_parsed import take_over

        take_over(kept, job.project_dir, job.target_path, target)


def _run(
    job: _Job,
    verb: str,
    options: DbtOptions,
    progress: ReportsProgress | None,
    began: float,
) -> tuple[DbtOutcome, list[str]]:
    """The command itself: its outcome, published, and the selectors that matched nothing."""

    def tick(watch: NodeWatch) -> None:
        if progress:
            statuses = list(watch.statuses.values())
            # dbt's own count leaves out unit tests.
            total = max(watch.total, len(statuses)) if watch.total else None
            progress.update("dbt", sum(status.is_finished for status in statuses), total)

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
        try:
            result = _invoke(job, _arguments(job, verb, options), watch)
            results = [_node_result(job, each, watch) for each in _results_of(result)]
        finally:
            if reporter:
                reporter.finish(results)
    outcome = DbtOutcome(
        tuple(results), time.monotonic() - began, job.artifacts_dir, tuple(watch.warnings)
    )
    _keep_artifacts(job, verb)
    tick(watch)
    if job.api:
        _publish_nodes(job, job.api, outcome)
    if not result.success and not outcome.failed:
        raise DbtProjectError(
            job.attempted, "dbt failed without saying at which node", f"See {log.name}"
        )
    return outcome, watch.unmatched


def _reporter(
    job: _Job, watch: NodeWatch, tick: Callable[[NodeWatch], None]
) -> NodeReporter | None:
    if job.api is None:
        return None
    manifest = job.target_path / "manifest.json"
    reporter = NodeReporter(job.api, watch, manifest, job.logger, tick)
    reporter.start()
    return reporter


def _arguments(job: _Job, verb: str, options: DbtOptions) -> list[str]:
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


def _invoke(job: _Job, arguments: Sequence[str], watch: NodeWatch) -> Any:
    with rare_garbage_collection():
        # dbt takes two seconds and 60 MiB to import: only a process that builds pays for it.
        from flows._shared.orchestration.dbt_runner import invoke

        try:
            with stops_with_the_run():
                return invoke(job.project_dir, job.target_path, list(arguments), watch)
        # prefect-dbt raises a bare ValueError for every exception of dbt.
        except ValueError as error:
            seen = job.redact(str(error).partition("': ")[2] or str(error)).strip()
    if UNREACHABLE.search(seen) and not REFUSED.search(seen):
        raise DbtUnreachableError(
            job.attempted, seen, "Check that the warehouse is up and reachable from here"
        )
    raise DbtProjectError(
        job.attempted, seen, f"Correct it in {job.project_dir} and try `dbt parse` there"
    )


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """dbt makes many objects that live until it ends: looking through them took a fifth of its CPU.

    With Python's own 700 new objects between collections, that is.
    """
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _results_of(result: Any) -> Iterable[Any]:
    return getattr(result.result, "results", None) or ()


def _node_result(job: _Job, result: Any, watch: NodeWatch) -> NodeResult:
    node = getattr(result, "node", None)
    unique_id = node.unique_id if node else result.unique_id
    kind = str(node.resource_type) if node else unique_id.partition(".")[0]
    status = str(result.status)
    return NodeResult(
        unique_id=unique_id,
        name=node.name if node else unique_id.rpartition(".")[2],
        resource_type=kind,
        status=status,
        rows=_rows(result, kind),
        seconds=round(result.execution_time or 0.0, 3),
        message=_message(job, result, watch, unique_id),
        relation=getattr(node, "relation_name", None),
        compiled_path=_keep_compiled(job, node, kind) if status in FAILED else None,
    )


def _rows(result: Any, kind: str) -> int | None:
    if kind in ("test", "unit_test"):
        failures = getattr(result, "failures", None)
        return int(failures) if failures is not None else None
    affected = (getattr(result, "adapter_response", None) or {}).get("rows_affected")
    # dbt-postgres says -1 where the statement has no row count, as for a view.
    return int(affected) if isinstance(affected, int) and affected >= 0 else None


def _message(job: _Job, result: Any, watch: NodeWatch, unique_id: str) -> str:
    if result.message:
        return job.redact(str(result.message))
    seen = watch.statuses.get(unique_id)
    return seen.message if seen else MESSAGES.get(str(result.status), "")


def _keep_compiled(job: _Job, node: Any, kind: str) -> str | None:
    code = getattr(node, "compiled_code", None)
    if not code:
        return None
    path = job.artifacts_dir / "compiled" / f"{kind}.{node.name}.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(job.redact(code), encoding="utf-8")
    return str(path)


def _keep_artifacts(job: _Job, verb: str) -> None:
    names = ["manifest.json"]
    names += ["sources.json"] if verb == "source freshness" else ["run_results.json"]
    for name in names:
        source = job.target_path / name
        if source.is_file():
            text = job.redact(source.read_text(encoding="utf-8"))
            (job.artifacts_dir / name).write_text(text, encoding="utf-8")


def _publish_nodes(job: _Job, api: FlowRunApi, outcome: DbtOutcome) -> None:
    rows = [
        {
            "name": node.name,
            "type": node.resource_type,
            "status": node.status,
            "rows": node.rows,
            "seconds": node.seconds,
            "message": node.message[:500],
            "compiled_sql": node.compiled_path,
        }
        for node in sorted(outcome.nodes, key=_worst_first)
    ]
    try:
        api.create_table(_nodes_key(job), rows, f"{job.attempted}, by node")
    except httpx.HTTPError as error:
        job.logger.warning("the table of dbt nodes was not published: %s", error)


def _nodes_key(job: _Job) -> str:
    """``<slug>-dbt-nodes`` is the build for the default target; other commands and targets have
    keys of their own, so that none hides another."""
    command = "" if job.command == "build" else job.command.partition(" --")[0]
    parts = (job.project, "dbt-nodes", command, job.target or "")
    return "-".join(re.sub("[^a-z0-9]+", "-", part.lower()) for part in parts if part)


def _worst_first(node: NodeResult) -> int:
    if node.status in FAILED:
        return 0
    return {"warn": 1, "skipped": 2}.get(node.status, 3)


def _refuse_empty(
    job: _Job, outcome: DbtOutcome, unmatched: Sequence[str], options: DbtOptions
) -> None:
    asked = {part for selector in options.select for part in re.split(r"[\s,]+", selector)}
    missed = [selector for selector in unmatched if selector in asked]
    if outcome.nodes and not missed:
        return
    selection = ", ".join(missed or options.select) or "the whole project"
    excluded = f" without {', '.join(options.exclude)}" if options.exclude else ""
    raise DbtProjectError(
        job.attempted,
        f"the selection matches no node: {selection}{excluded}",
        "Check its spelling with `dbt ls --select ...` in the project's folder",
    )


def _failure(job: _Job, outcome: DbtOutcome, verb: str) -> DbtBuildError:
    lines = []
    for node in outcome.failed:
        where = f" (SQL: {node.compiled_path})" if node.compiled_path else ""
        message = " ".join(node.message.split())
        lines.append(f"{node.label}: {node.status}, {message or 'no message'}{where}")
    skipped = f"; {len(outcome.skipped)} nodes that need them skipped" if outcome.skipped else ""
    seen = f"{outcome.failures} of {len(outcome.nodes)} nodes failed{skipped}\n" + "\n".join(lines)
    if verb == "source freshness":
        remedy = "Find out why these sources were not loaded, then run their refresh"
        return DbtFreshnessError(job.attempted, seen, remedy, outcome)
    remedy = f"Run the SQL named above to see the rows; results are in {outcome.artifacts_dir}"
    return DbtBuildError(job.attempted, seen, remedy, outcome)
