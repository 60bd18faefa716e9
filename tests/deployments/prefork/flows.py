"""Flows that tell what process they are, try its limits, or build what a benchmark measures."""

import json
import os
import signal
import threading
import time
from multiprocessing import resource_tracker
from pathlib import Path

from prefect import flow, task

from flows._shared.orchestration import dbt_templates
from flows._shared.orchestration.dbt import DbtOptions, build_dbt

met: list[str] = []


@task
def told(path: str) -> dict[str, object]:
    """Write what this process is to ``path``."""
    met.append(path)
    seen: dict[str, object] = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "directory": str(Path.cwd()),
        "environment": dict(os.environ),
        "met": met,
        "compiled": len(dbt_templates._compiled),
        # Of locks between processes.
        "tracker": vars(resource_tracker)["_resource_tracker"]._pid,
        "thread": threading.current_thread() is threading.main_thread(),
    }
    # Whoever waits for the file finds it whole.
    being_written = Path(f"{path}.part")
    being_written.write_text(json.dumps(seen))
    being_written.rename(path)
    return seen


@flow(name="prefork-look")
def look(path: str, hold_seconds: float = 0.0) -> None:
    """Tell, and stay for some time."""
    told(path)
    time.sleep(hold_seconds)


@flow(name="prefork-die")
def die() -> None:
    """End as a process does that the kernel kills."""
    os.kill(os.getpid(), signal.SIGKILL)


@flow(name="prefork-take")
def take(mebibytes: int) -> None:
    """Hold memory for longer than its limit takes to be seen."""
    held = bytearray(mebibytes * 2**20)
    time.sleep(20)
    del held


@flow(name="benchmark-build")
def build(project: str, projects: str, is_whole: bool = False) -> None:
    """Build a project of a folder of projects; nothing where its name is empty."""
    if project:
        given = {name: value for name, value in os.environ.items() if name.startswith("DBT_")}
        options = DbtOptions(build_unchanged=is_whole)
        build_dbt(project, given, options, projects_dir=Path(projects))
