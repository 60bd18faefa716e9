"""A build that finds nothing to do without dbt, which takes two seconds to import.

What dbt once said of a project (`Question`) is kept beside what it parsed, and holds while all
files, the environment and the options are as they were. The plan is the same one, made anew of the
warehouse. Where it leaves anything to do, or anything is in the way, dbt plans, and builds.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from psycopg.conninfo import make_conninfo
from pydantic import TypeAdapter, ValidationError

from flows._shared import postgres
from flows._shared.orchestration.cancellation import TOLD_TO_STOP
from flows._shared.orchestration.dbt.job import Job
from flows._shared.orchestration.dbt.options import DbtOptions
from flows._shared.orchestration.dbt.question import Planning, Question, Warehouse
from flows._shared.orchestration.dbt_memory import Connection, Memory

RUN_RESULTS = "run_results.json"
# Settings of dbt, whatever they are; others are those that a question names.
SETTINGS = "DBT_"
# What is made of the code, and no code.
MADE = frozenset({"__pycache__"})
_spec = find_spec("dbt")
DBT = tuple(map(Path, (_spec and _spec.submodule_search_locations) or ()))
CODE = (Path(__file__).parents[1], *(each / "include" for each in DBT))


@dataclass(frozen=True)
class Kept:
    """``results`` is the artifact that dbt wrote with it, of the nodes that a build only names."""

    question: Question
    results: dict[str, Any]


class Recall:
    """What is kept of the question of one job."""

    def __init__(self, job: Job, options: DbtOptions) -> None:
        self._job = job
        # As they are before dbt reads one and adds to the other.
        self._files, self._environment = _files_of(job.project_dir), dict(os.environ)
        self._asked = [options.select, options.exclude, options.target, options.variables]
        selection = repr([options.select, options.exclude]).encode()
        name = f"question-{hashlib.sha256(selection).hexdigest()[:16]}.json"
        self._kept = job.target_path / name

    def nothing_new(self) -> Planning | None:
        """The plan of a build that has nothing to do, else None."""
        kept = self.kept()
        if kept is None:
            return None
        try:
            planning = self.plan(kept.question)
        except TOLD_TO_STOP:
            raise
        # Files that are no databases, servers that are away: dbt finds words for all of them.
        except Exception as error:  # noqa: BLE001
            self._job.logger.debug("no plan without dbt: %s", type(error).__name__)
            return None
        return replace(planning, results=kept.results) if planning.plan.leaves_all_out else None

    def kept(self) -> Kept | None:
        """What dbt once said, if it is what dbt would say now."""
        try:
            key, _, text = self._kept.read_bytes().partition(b"\n")
            kept = KEPT.validate_json(text)
        except (OSError, ValidationError):
            return None
        return kept if key.decode(errors="replace") == self._key(kept.question) else None

    def plan(self, question: Question) -> Planning:
        with connected(question.warehouse) as connection:
            memory = Memory(connection, question.warehouse.kind, question.warehouse.memory)
            there = memory.relations()
            plan = question.plan(memory, there, build="", at=now(), leaves_out=True)
            newest = memory.newest(question.aged, there)
            # Of a memory that an earlier version made, dbt makes what is asked for here.
            counts = memory.row_counts()
        return Planning(
            leaves_out=True, plan=plan, question=question, newest=newest, row_counts=counts
        )

    def keep(self, question: Question | None) -> None:
        """Write down what dbt said, for as long as it lasts, if no file was touched meanwhile."""
        untouched = self._files is not None and self._files == _files_of(self._job.project_dir)
        if question and question.is_lasting and untouched:
            # dbt may have been told to write no artifacts.
            with suppress(OSError, ValueError):
                results = json.loads((self._job.target_path / RUN_RESULTS).read_bytes())
                named = [each for each in results["results"] if each["unique_id"] in question.idle]
                text = KEPT.dump_json(Kept(question, results | {"results": named})).decode()
                _write_whole(self._kept, f"{self._key(question)}\n{text}")
                return
        self._kept.unlink(missing_ok=True)

    def _key(self, question: Question) -> str | None:
        if self._files is None:
            return None
        own = self._environment
        names = {*question.environment, *(name for name in own if name.startswith(SETTINGS))}
        told = [self._files.content, self._asked, {name: own.get(name) for name in names}]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Files:
    """Hashes of what is in a folder.

    ``touched`` is another once a file was written or moved, even if it is back since: it has the
    moments that the file system keeps, which nobody sets.
    """

    content: str
    touched: str


def _files_of(project_dir: Path) -> Files | None:
    """The project with its packages, dbt and what asks the question; None if one is unreadable."""
    try:
        files = _hash_of(project_dir)
        return replace(files, content=files.content + _code_that_reads_it())
    except OSError:
        return None


@cache
def _code_that_reads_it() -> str:
    versions = hashlib.sha256(repr(_versions()).encode()).hexdigest()
    return versions + "".join(_hash_of(each).content for each in CODE)


def _hash_of(root: Path) -> Files:
    content, touched = hashlib.sha256(), hashlib.sha256()
    seen: dict[tuple[int, int], str] = {}
    for folder, below, names in os.walk(root, onerror=_raise, followlinks=True):
        own = Path(folder).stat()
        # What is there twice, or in itself, is gone through once.
        first = seen.setdefault((own.st_dev, own.st_ino), folder)
        content.update(f"{[os.path.relpath(each, root) for each in (folder, first)]}\n".encode())
        touched.update(f"{own.st_ino}={own.st_ctime_ns}\n".encode())
        if first != folder:
            below.clear()
            continue
        below[:] = sorted(set(below) - MADE)
        for name in sorted(names):
            path = Path(folder, name)
            status = path.stat()
            # To read a pipe may last for ever.
            is_file = stat.S_ISREG(status.st_mode)
            found = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "no file"
            content.update(f"{name!r}={found}\n".encode())
            touched.update(f"{status.st_ino}={status.st_ctime_ns}\n".encode())
    return Files(content.hexdigest(), touched.hexdigest())


def _raise(error: OSError) -> None:
    raise error


def _versions() -> list[str]:
    """By the folders in which installers keep them: to read what is in all of them takes longer."""
    return sorted(path.name for each in DBT for path in each.parent.glob("dbt*-info"))


def now() -> datetime:
    return datetime.now(UTC)


class Direct:
    """A connection by the database's own driver."""

    # What is refused here is for dbt to find.
    refusals = ()

    def __init__(self, database: Any) -> None:
        self._database = database

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._database.execute(sql).fetchall()]

    def run(self, sql: str) -> None:
        self._database.execute(sql)


@contextmanager
def connected(warehouse: Warehouse) -> Iterator[Connection]:
    place: dict[str, Any] = dict(warehouse.place)
    if warehouse.kind == "duckdb":
        import duckdb

        with duckdb.connect(**place, read_only=True) as database:
            yield Direct(database)
    else:
        password = os.environ[warehouse.password_variable or ""]
        address = make_conninfo(**place, password=password)
        with postgres.connected(address, "the warehouse") as server:
            yield Direct(server)


def write_empty_results(job: Job, planning: Planning) -> None:
    """The artifact that dbt would write of a build that only names some nodes."""
    moment = f"{now():%Y-%m-%dT%H:%M:%S.%fZ}"
    of_now = {
        "generated_at": moment,
        "invocation_started_at": moment,
        "invocation_id": str(uuid4()),
    }
    results = dict(planning.results)
    results |= {"metadata": results["metadata"] | of_now, "elapsed_time": 0.0}
    _write_whole(job.target_path / RUN_RESULTS, json.dumps(results))


def _write_whole(path: Path, text: str) -> None:
    """Whoever reads it meanwhile, or after a crash, finds the former or this one."""
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


KEPT = TypeAdapter(Kept)
