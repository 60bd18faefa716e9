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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from flows._shared.errors import PermanentError, TransientError
from flows._shared.state import state_dir

PROJECT = Path(__file__).parents[2] / "dbt_projects" / "quality_compass"
QUESTIONS = Path(__file__).with_name("questions.py")
PARTIAL_PARSE = "partial_parse.msgpack"
CONFIGURATION = ("dbt_project.yml", "profiles.yml")
TIMEOUT_SECONDS = 300
BY_RUN = "_by_run"
RUNS = frozenset({"run", "signal__run_id"})
SECRET_NAME = re.compile("SECRET|PASSWORD|TOKEN", re.IGNORECASE)


class MetricQueryError(PermanentError):
    """MetricFlow refused the query, or the semantic layer is not valid."""


class MetricTimeoutError(TransientError):
    """MetricFlow did not answer in time."""


class MetricsRequest(BaseModel):
    """One question to the semantic layer: metrics and what to group them by, or a saved query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: tuple[str, ...] = Field(
        (),
        description=(
            "Names of metrics, such as total_signals; those named *_by_run are grouped by run."
        ),
    )
    group_by: tuple[str, ...] = Field(
        (), description="Dimensions, such as signal__domain, facility__region, metric_time__month."
    )
    where: tuple[str, ...] = Field(
        (), description="Filters, such as {{ Dimension('signal__severity') }} = 'Critical'."
    )
    order_by: tuple[str, ...] = Field((), description="Columns; a minus before one descends.")
    limit: int | None = Field(None, ge=1, le=10_000, description="Most rows of the answer.")
    start_time: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}$", description="First day, as YYYY-MM-DD."
    )
    end_time: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}$", description="Last day, as YYYY-MM-DD."
    )
    saved_query: str | None = Field(
        None, description="Name of a saved query, instead of metrics: dashboard_severity."
    )

    @field_validator("metrics", "group_by")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"{name!r} is not a name of the semantic layer")
        return names

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "MetricsRequest":
        if bool(self.metrics) == bool(self.saved_query):
            raise ValueError("give metrics or a saved query, one of them")
        return self

    @model_validator(mode="after")
    def _adds_up_no_runs(self) -> "MetricsRequest":
        by_run = [name for name in self.metrics if name.endswith(BY_RUN)]
        if by_run and RUNS.isdisjoint(self.group_by):
            raise ValueError(f"{', '.join(by_run)}: group by run, for runs do not add up")
        return self

    @property
    def name(self) -> str:
        return self.saved_query or ", ".join(self.metrics)

    def arguments(self) -> list[str]:
        options = {
            "--metrics": ",".join(self.metrics),
            "--group-by": ",".join(self.group_by),
            "--order": ",".join(self.order_by),
            "--limit": self.limit,
            "--start-time": self.start_time,
            "--end-time": self.end_time,
            "--saved-query": self.saved_query,
        }
        given = [f"{option}={value}" for option, value in options.items() if value]
        return given + [f"--where={each}" for each in self.where]


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
        environment: the variables of profiles.yml, given to the child processes only.
    """

    def __init__(self, workspace: Path, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = environment
        self._is_prepared = False

    def validate(self) -> str:
        """What ``mf validate-configs`` says. Raises MetricQueryError when it is not valid."""
        self._prepare()
        return self._run("validating the semantic layer", [_program("mf"), "validate-configs"])

    def query(self, request: MetricsRequest) -> Answer:
        """Raises MetricQueryError: unknown names, or the marts are not built."""
        (answer,) = self.queries([request])
        return answer

    def queries(self, requests: Sequence[MetricsRequest]) -> tuple[Answer, ...]:
        """Several questions to one process. Raises MetricQueryError if it refuses one of them."""
        self._prepare()
        tables = [self._workspace / f"answer-{number}.csv" for number in range(len(requests))]
        for table in tables:
            table.unlink(missing_ok=True)
        asked = [
            [*request.arguments(), f"--csv={table}", "--quiet"]
            for request, table in zip(requests, tables, strict=True)
        ]
        attempted = f"querying {'; '.join(request.name for request in requests)}"
        # Without -P the rooms of this domain would stand before packages of the same names.
        command = [sys.executable, "-P", str(QUESTIONS), json.dumps(asked)]
        said = self._run(attempted, command).strip()
        if said and not all(table.exists() for table in tables):
            raise self._refusal(attempted, said)
        return tuple(self._answer(table) for table in tables)

    def _answer(self, table: Path) -> Answer:
        if not table.exists():
            return Answer((), ())
        with table.open(newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream))
        metrics = self._metrics()
        return Answer(tuple(header), tuple(_typed(header, row, metrics) for row in rows))

    def _metrics(self) -> frozenset[str]:
        manifest = self._workspace / "target" / "semantic_manifest.json"
        parsed = json.loads(manifest.read_text(encoding="utf-8"))
        return frozenset(metric["name"] for metric in parsed["metrics"])

    def _prepare(self) -> None:
        """The project as it was at the first question, parsed."""
        if self._is_prepared:
            return
        self._workspace.mkdir(parents=True, exist_ok=True)
        for name in CONFIGURATION:
            shutil.copyfile(PROJECT / name, self._workspace / name)
        self._begin_with_what_a_build_parsed()
        self._run(
            "parsing the dbt project quality_compass",
            [
                *(_program("dbt"), "parse", "--quiet"),
                *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
                *("--target-path", str(self._workspace / "target")),
                *("--log-path", str(self._workspace / "logs")),
            ],
        )
        self._is_prepared = True

    def _begin_with_what_a_build_parsed(self) -> None:
        """A first question then waits for no parsing of everything; dbt checks that it fits."""
        parsed = self._workspace / "target" / PARTIAL_PARSE
        of_a_build = state_dir() / "dbt" / PROJECT.name / "default" / PARTIAL_PARSE
        if of_a_build.is_file() and not parsed.exists():
            parsed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(of_a_build, parsed)

    def _run(self, attempted: str, command: Sequence[str]) -> str:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
        try:
            done = subprocess.run(
                command,
                cwd=self._workspace,
                env={**own, **self._environment, "DO_NOT_TRACK": "1"},
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
            raise self._refusal(attempted, said)
        return said

    def _refusal(self, attempted: str, said: str) -> MetricQueryError:
        return MetricQueryError(
            attempted,
            said.strip()[-2000:],
            "Check the names with `mf list metrics`; build the marts with quality-compass first",
        )

    def _redacted(self, text: str) -> str:
        for name, value in self._environment.items():
            if value and SECRET_NAME.search(name):
                text = text.replace(value, "*****")
        return text


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _typed(
    header: Sequence[str], row: Sequence[str], metrics: frozenset[str]
) -> tuple[str | float | None, ...]:
    """What is grouped by is text, an entity such as `run` with digits only, too."""
    return tuple(
        value if column not in metrics else float(value) if value else None
        for column, value in zip(header, row, strict=True)
    )
