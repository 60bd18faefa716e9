"""Answers metric queries through MetricFlow, in a process of its own.

MetricFlow reads credentials from the environment, takes over logging, and looks for the semantic
manifest in ``target/`` of the dbt project only. A folder with copies of the project's two
configuration files stands in for the project, so that nothing is written into the clone.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows._shared.errors import PlatformError
from flows._shared.postgres import READ_ONLY
from flows._shared.state import state_dir
from flows.quality_compass.semantic.refusals import (
    MetricTimeoutError,
    Names,
    SavedQuery,
    invalid,
    not_begun,
    refusal,
    strange_columns,
    unknown_names,
)
from flows.quality_compass.semantic.requests import MetricsRequest

PROJECT = Path(__file__).parents[3] / "dbt_projects" / "quality_compass"
QUESTIONS = Path(__file__).with_name("questions.py")
PARTIAL_PARSE = "partial_parse.msgpack"
CONFIGURATION = ("dbt_project.yml", "profiles.yml")
TIMEOUT_SECONDS = 300
# A filter is checked on the assumption that a backslash in a text is one.
# What nobody waits for any more ends in the database, too.
SESSION = (
    f"{READ_ONLY} -c standard_conforming_strings=on -c statement_timeout={TIMEOUT_SECONDS * 1_000}"
)
SECRET_NAME = re.compile("SECRET|PASSWORD|TOKEN", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """A table; metrics are numbers (None where there is none), dimensions are texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    def as_records(self) -> list[dict[str, str | float | None]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class SemanticLayer:
    """The project's semantic layer, seen through one database.

    Args:
        workspace: a folder that is kept between queries.
        environment: the variables of profiles.yml, given to the child processes only, whose
            sessions read only.
    """

    def __init__(self, workspace: Path, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = environment
        self._is_prepared = False

    def validate(self) -> str:
        """What ``mf validate-configs`` says. Raises MetricQueryError when it is not valid."""
        self._prepare()
        attempted = "validating the semantic layer"
        command = [_program("mf"), "validate-configs"]
        return self._run(attempted, command, partial(invalid, attempted))

    def query(self, request: MetricsRequest) -> Answer:
        """The answer to one question. Raises what `queries` does."""
        (answer,) = self.queries([request])
        return answer

    def queries(self, requests: Sequence[MetricsRequest]) -> tuple[Answer, ...]:
        """The answers to several questions, all asked by one process.

        Raises:
            MetricQueryError: unknown names, or the marts are not built.
            MetricsUnreachableError, MetricTimeoutError: no answer, another try may help.
        """
        answers: list[Answer] = []
        for outcome in self.outcomes(requests):
            if isinstance(outcome, PlatformError):
                raise outcome
            answers.append(outcome)
        return tuple(answers)

    def outcomes(self, requests: Sequence[MetricsRequest]) -> tuple[Answer | PlatformError, ...]:
        """What each question comes to, all asked by one process: an answer, or why there is none.

        Raises what `queries` does if that process or the parsing before it fails.
        """
        self._prepare()
        names = self._names()
        unknown = [unknown_names(request, names) for request in requests]
        known = [request for request, error in zip(requests, unknown, strict=True) if error is None]
        outcomes = iter(self._ask(known, names) if known else ())
        return tuple(error or next(outcomes) for error in unknown)

    def _ask(
        self, requests: Sequence[MetricsRequest], names: Names
    ) -> list[Answer | PlatformError]:
        tables = [self._workspace / f"answer-{number}.csv" for number in range(len(requests))]
        for table in tables:
            table.unlink(missing_ok=True)
            _refused(table).unlink(missing_ok=True)
        asked = [
            (request.arguments(), str(table), str(_refused(table)))
            for request, table in zip(requests, tables, strict=True)
        ]
        # Without -P what lies beside it would stand before packages of the same names.
        command = [sys.executable, "-P", str(QUESTIONS)]

        def refuse(said: str) -> PlatformError:
            begun = [
                request for request, table in zip(requests, tables, strict=True) if table.exists()
            ]
            return refusal(begun[-1], said) if begun else not_begun(len(requests), said)

        attempted = f"querying {'; '.join(map(str, requests))}"
        self._run(attempted, command, refuse, json.dumps(asked))
        return [
            self._outcome(request, table, names)
            for request, table in zip(requests, tables, strict=True)
        ]

    def _outcome(
        self, request: MetricsRequest, table: Path, names: Names
    ) -> Answer | PlatformError:
        if _refused(table).exists():
            said = _refused(table).read_text(encoding="utf-8")
            return refusal(request, self._redacted(said))
        answer = _answer(table, names.metrics)
        return strange_columns(request, answer.columns, names) or answer

    def _names(self) -> Names:
        manifest = self._workspace / "target" / "semantic_manifest.json"
        parsed = json.loads(manifest.read_text(encoding="utf-8"))
        return Names(
            frozenset(each["name"] for each in parsed["metrics"]),
            {
                each["name"]: SavedQuery(
                    tuple(each["query_params"]["metrics"]),
                    tuple(map(_first_name, each["query_params"]["group_by"])),
                )
                for each in parsed["saved_queries"]
            },
        )

    def _prepare(self) -> None:
        """The project as it was at the first question, parsed."""
        if self._is_prepared:
            return
        self._workspace.mkdir(parents=True, exist_ok=True)
        for name in CONFIGURATION:
            shutil.copyfile(PROJECT / name, self._workspace / name)
        self._begin_with_what_a_build_parsed()
        attempted = "parsing the dbt project quality_compass"
        self._run(
            attempted,
            [
                *(_program("dbt"), "parse", "--quiet"),
                *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                *("--target-path", str(self._workspace / "target")),
                *("--log-path", str(self._workspace / "logs")),
            ],
            partial(invalid, attempted),
        )
        self._is_prepared = True

    def _begin_with_what_a_build_parsed(self) -> None:
        """A first question then waits for no parsing of everything; dbt checks that it fits."""
        parsed = self._workspace / "target" / PARTIAL_PARSE
        of_a_build = state_dir() / "dbt" / PROJECT.name / "default" / PARTIAL_PARSE
        if of_a_build.is_file() and not parsed.exists():
            parsed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(of_a_build, parsed)

    def _run(
        self,
        attempted: str,
        command: Sequence[str],
        refuse: Callable[[str], PlatformError],
        read: str = "",
    ) -> str:
        """What the command said, having ``read``; ``refuse`` makes the error where it failed."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
        try:
            done = subprocess.run(
                command,
                cwd=self._workspace,
                env={**own, **self._environment, "PGOPTIONS": SESSION, "DO_NOT_TRACK": "1"},
                input=read,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MetricTimeoutError(
                attempted,
                f"no answer in {TIMEOUT_SECONDS} seconds",
                "Narrow the query by start_time and end_time, or look for locks",
            ) from None
        said = self._redacted(done.stdout + done.stderr)
        if done.returncode:
            raise refuse(said)
        return said

    def _redacted(self, text: str) -> str:
        for name, value in self._environment.items():
            if value and SECRET_NAME.search(name):
                text = text.replace(value, "*****")
        return text


def _first_name(group: str) -> str:
    """``signal__domain`` of ``Dimension('signal__domain')``."""
    return re.split("[\"']", group)[1] if re.search("[\"']", group) else group


def _refused(table: Path) -> Path:
    """Where what MetricFlow says stands if it refuses the question of a table."""
    return table.with_suffix(".refused")


def _answer(table: Path, metrics: Collection[str]) -> Answer:
    with table.open(newline="", encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream)) or [[]]
    return Answer(tuple(header), tuple(_typed(header, row, metrics) for row in rows))


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _typed(
    header: Sequence[str], row: Sequence[str], metrics: Collection[str]
) -> tuple[str | float | None, ...]:
    """What is grouped by is text, an entity such as `run` with digits only, too."""
    return tuple(
        value if column not in metrics else float(value) if value else None
        for column, value in zip(header, row, strict=True)
    )
