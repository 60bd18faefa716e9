"""One dbt command with its places, and what of it must not be said aloud."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from flows._shared.orchestration.dbt.options import COMMANDS, DbtOptions
from flows._shared.orchestration.dbt.outcome import DbtProjectError
from flows._shared.orchestration.dbt.variables import (
    declared_variables,
    why_variables_refused,
)
from flows._shared.orchestration.flow_run import FlowRunApi, Logger, current_flow_run, run_logger
from flows._shared.state import state_dir

ROOT = Path(__file__).resolve().parents[4]
RUNS_KEPT = 20
# Shorter values are words that messages need; no password of a real system is that short.
SHORTEST_SECRET = 4
SECRET_NAME = re.compile("SECRET|PASSWORD|TOKEN", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
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


def open_job(
    project: str,
    environment: Mapping[str, str],
    options: DbtOptions,
    command: str,
    projects_dir: Path | None,
) -> Job:
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
    if options.variables:
        refused = why_variables_refused(options.variables, declared_variables(project_dir))
        if refused:
            raise DbtProjectError(
                f"dbt {command} of {project}",
                refused,
                "Give variables as `vars` of its dbt_project.yml declares them",
            )
    target_path = (state_dir() / "dbt" / project / (options.target or "default")).resolve()
    api = current_flow_run()
    artifacts_dir = _new_run_dir(target_path / "runs", api)
    return Job(
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


def verb_of(command: str) -> str:
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

    def redact(text: str) -> str:
        # Most texts hold none, which is told sooner so than by the pattern.
        return pattern.sub("*****", text) if any(value in text for value in values) else text

    return redact


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """One build per project and target on a machine: builds share what dbt writes there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
