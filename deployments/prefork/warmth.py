"""What the parent has in memory before the first run, and that it has nothing open."""

import gc
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, PydanticUserError

from deployments.local.paths import PROJECT_ROOT
from flows._shared.counted import counted
from flows._shared.errors import PermanentError
from flows._shared.yaml_keys import read_yaml

LIBRARIES = (
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.events.worker",
    "prefect.logging.handlers",
    # What Prefect imports only as a run begins.
    "prefect._internal.metrics",
    "prefect._internal.observers",
    "prefect.utilities.visualization",
    "anyio._backends._asyncio",
    "rich._emoji_codes",
    "flows._shared.orchestration.dbt",
    "flows._shared.orchestration.dbt_runner",
    "dbt.adapters.postgres",
    "dbt.adapters.duckdb",
    "dbt.adapters.bigquery",
    # What Scout imports only as a file is a workbook.
    "flows.scout.source.workbooks",
)
# Libraries that would start threads as they are imported, told not to.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
# Parsed as a warm process begins. What dbt makes for its classes and its own macros serves runs of
# all projects; senders of deliveries wait for those of this one.
PROJECTS = ("scout",)
THREADS, FILES = Path("/proc/self/task"), Path("/proc/self/fd")
# They say what is installed and which flows there are.
DECIDING = ("requirements.lock", "pyproject.toml", "prefect.yaml")

Fingerprint = frozenset[tuple[str, int, int]]


def preload(modules: Sequence[str], projects: Sequence[str] = ()) -> list[str]:
    """Import modules, and have dbt parse projects; returns what could not be done, and why.

    A flow that cannot be imported fails in its own run, which says so; so does a project.
    """
    failed = []
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  whatever a module raises is told by its runs
            failed.append(f"{name}: {type(error).__name__}: {error}")
    failed += _rehearsed(projects)
    _close_duckdb()
    _complete_models()
    # Forks would each copy the pages that a collection writes to.
    gc.disable()
    gc.collect()
    gc.freeze()
    return failed


def _rehearsed(projects: Sequence[str]) -> list[str]:
    if not projects:
        return []
    # It imports dbt, which a parent that builds nothing does without.
    from deployments.prefork.rehearsal import rehearse

    failed = []
    for name in projects:
        try:
            failed += rehearse(name)
        except Exception as error:  # noqa: BLE001  whatever dbt raises is told by its runs
            failed.append(f"{name}: {type(error).__name__}: {error}")
    return failed


def modules_of_runs(prefect_file: Path = PROJECT_ROOT / "prefect.yaml") -> list[str]:
    """Prefect, dbt with its adapters, and the modules of the flows that are deployed.

    Where the file is wrong, as it may be while somebody edits it, a run imports its flow itself.
    """
    try:
        content = read_yaml(prefect_file)
    except PermanentError:
        content = None
    entries = content.get("deployments") if isinstance(content, Mapping) else None
    named = (
        each.get("entrypoint")
        for each in (entries if isinstance(entries, list) else [])
        if isinstance(each, Mapping)
    )
    flows = {each.rpartition(".")[0] for each in named if isinstance(each, str)} - {""}
    return [*LIBRARIES, *sorted(flows)]


def require_nothing_running() -> None:
    """A fork has the thread that forked and no other.

    Raises:
        PermanentError: there are others, whose locks a fork would hold for ever.
    """
    if THREADS.exists() and (count := len(list(THREADS.iterdir()))) != 1:
        names = sorted((each / "comm").read_text().strip() for each in THREADS.iterdir())
        raise PermanentError(
            "forking a flow run",
            f"the parent has {counted(count, 'thread')}: {', '.join(names)}",
            "Find what starts one at import, and leave it out of what is imported beforehand",
        )


def require_nothing_open(allowed: set[int]) -> None:
    """No connection, and no file, is shared with a fork.

    Args:
        allowed: descriptors that the parent itself needs.

    Raises:
        PermanentError: something else is open.
    """
    if not FILES.exists():
        return
    for each in FILES.iterdir():
        if int(each.name) not in allowed and each.is_symlink():
            raise PermanentError(
                "forking flow runs",
                f"the parent has {os.readlink(each)} open",  # noqa: PTH115  it may be a socket
                "Find what opens it at import, and leave it out of what is imported beforehand",
            )


def loaded_files() -> Fingerprint:
    """The project's files that are in memory, and those that say what is installed."""
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    own = {name for name in loaded if name and _is_own(name)}
    return frozenset(_stamps(own | {str(PROJECT_ROOT / name) for name in DECIDING}))


def settled(files: Fingerprint, began: int, now: int) -> Fingerprint:
    """Without those that changed between two moments (nanoseconds): which text of them was read?

    A parent that began with such a file finds it changed at its first look.
    """
    return frozenset(each for each in files if not began <= each[1] <= now)


def _is_own(name: str) -> bool:
    return name.startswith(f"{PROJECT_ROOT}/") and "site-packages" not in name


def _stamps(names: set[str]) -> Iterator[tuple[str, int, int]]:
    for name in names:
        try:
            found = Path(name).stat()
        except OSError:
            continue
        yield name, found.st_mtime_ns, found.st_size


def _complete_models() -> None:
    """Pydantic builds many of Prefect's models when they are first used: in each fork anew."""
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if model is not BaseModel and not model.__pydantic_complete__:
            with suppress(PydanticUserError, NameError):
                model.model_rebuild(raise_errors=False)


def _close_duckdb() -> None:
    """Importing DuckDB opens a database in memory, with a thread."""
    if duckdb := sys.modules.get("duckdb"):
        duckdb.default_connection().close()
