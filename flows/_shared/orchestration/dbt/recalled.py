"""A build that finds nothing to do without dbt, which takes two seconds to import.

What dbt once said of a project (`Question`) is kept beside what it parsed, and holds while all
files, the environment and the options are as they were. The plan is the same one, made anew of the
warehouse. Where it leaves anything to do, or anything is in the way, dbt plans, and builds.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from pydantic import TypeAdapter, ValidationError

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


class Recall:
    """What is kept of the question of one job."""

    def __init__(self, job: Job, options: DbtOptions) -> None:
        self._job = job
        # As they are before dbt reads one and adds to the other.
        self._code, self._environment = _code_of(job.project_dir), dict(os.environ)
        self._asked = [options.select, options.exclude, options.target, options.variables]
        selection = repr([options.select, options.exclude]).encode()
        name = f"question-{hashlib.sha256(selection).hexdigest()[:16]}.json"
        self._kept = job.target_path / name

    def nothing_new(self) -> Planning | None:
        """The plan of a build that has nothing to do, else None."""
        question = self.question()
        if question is None or not (self._job.target_path / RUN_RESULTS).is_file():
            return None
        try:
            planning = self.plan(question)
        except TOLD_TO_STOP:
            raise
        # Files that are no databases, servers that are away: dbt finds words for all of them.
        except Exception as error:  # noqa: BLE001
            self._job.logger.debug("no plan without dbt: %s", type(error).__name__)
            return None
        return planning if planning.plan.leaves_all_out else None

    def question(self) -> Question | None:
        """What was kept, if it is what dbt would say now."""
        try:
            key, _, text = self._kept.read_text(encoding="utf-8").partition("\n")
        except FileNotFoundError:
            return None
        try:
            question = QUESTION.validate_json(text)
        except ValidationError:
            return None
        return question if key == self._key(question) else None

    def plan(self, question: Question) -> Planning:
        with connected(question.warehouse) as connection:
            memory = Memory(connection, question.warehouse.kind, question.warehouse.memory)
            there = memory.relations()
            plan = question.plan(memory, there, build="", at=now(), leaves_out=True)
        return Planning(leaves_out=True, plan=plan, question=question)

    def keep(self, question: Question | None) -> None:
        """Write down what dbt said, for as long as it lasts."""
        if question is None or not question.is_lasting:
            self._kept.unlink(missing_ok=True)
            return
        unfinished = self._kept.with_suffix(".part")
        text = QUESTION.dump_json(question).decode()
        unfinished.write_text(f"{self._key(question)}\n{text}", encoding="utf-8")
        unfinished.rename(self._kept)

    def _key(self, question: Question) -> str:
        own = self._environment
        names = {*question.environment, *(name for name in own if name.startswith(SETTINGS))}
        told = [self._code, self._asked, {name: own.get(name) for name in names}]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _code_of(project_dir: Path) -> str:
    """A hash of the project with its packages, of dbt and of what asks the question."""
    return _hash_of(project_dir) + _code_that_reads_it()


@cache
def _code_that_reads_it() -> str:
    versions = hashlib.sha256(repr(_versions()).encode()).hexdigest()
    return versions + "".join(map(_hash_of, CODE))


def _hash_of(root: Path) -> str:
    found = hashlib.sha256()
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = sorted(set(below) - MADE)
        for name in sorted(names):
            path = Path(folder, name)
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(root)}={content}\n".encode())
    return found.hexdigest()


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
        with psycopg.connect(**place, password=password, autocommit=True) as server:
            yield Direct(server)


def write_empty_results(job: Job, idle: tuple[str, ...]) -> None:
    """The artifact that dbt would write of a build that only names some nodes."""
    path = job.target_path / RUN_RESULTS
    former = json.loads(path.read_text(encoding="utf-8"))
    moment = f"{now():%Y-%m-%dT%H:%M:%S.%fZ}"
    former["metadata"] |= {
        "generated_at": moment,
        "invocation_started_at": moment,
        "invocation_id": str(uuid4()),
    }
    former["results"] = [each for each in former["results"] if each["unique_id"] in idle]
    former["elapsed_time"] = 0.0
    path.write_text(json.dumps(former), encoding="utf-8")


QUESTION = TypeAdapter(Question)
