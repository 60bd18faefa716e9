"""Small fleets in OTLP's wire shape, made by hand, and the marts built from them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager

from flows._shared.environment import set_environment
from flows.agent_analytics import raw, rules, sample
from flows.agent_analytics.sample import DELTA, MODELS, Developer, Session
from flows.agent_analytics.settings import PATH_VARIABLE
from tests.dbt_projects.warehouse import dbt_as_in_flows
from tests.parsed import PROJECTS, begin_parsed, install_packages

# At the price of the first of these models, whatever the length of a prompt.
SONNET = "claude-3-7-sonnet-20250219"
OPUS, HAIKU = MODELS[1:]
PROJECT = "agent_analytics"
# Columns that say which rows were read when, and from what.
MARKS = ("last_metric_id", "last_log_id", "created_at", "input_hash")
GOOD = {"success", "pass", "no-op"}
Usage = tuple[int, int, int, int]


def developer(number: int = 1, temporality: int = DELTA) -> Developer:
    return Developer(
        number, f"dev{number}@work.example", f"account-{number}", f"machine-{number}",
        temporality, True,
    )  # fmt: skip


def session(
    name: str,
    start: datetime,
    minutes: int = 30,
    by: Developer | None = None,
    models: tuple[str, ...] = (SONNET,),
) -> Session:
    return Session(name, by or developer(), models, ((start, minutes),), False)


def request(
    of: Session, after_minutes: float, usage: Usage, model: str = SONNET, number: int = 0
) -> str:
    """One api_request event as a collector's line; usage is input, output, cache read, creation."""
    moment = of.started_at + timedelta(minutes=after_minutes)
    cost = sample.list_cost(MODELS[0] if model == SONNET else model, usage)
    return sample.logs_line(of, [sample.request_event(of, model, usage, cost, moment, number)])


def tokens(
    of: Session,
    counted: dict[str, float],
    since_minutes: float,
    until_minutes: float,
    model: str = SONNET,
    counted_since: datetime | None = None,
) -> str:
    """One export of token.usage, by type."""
    points = {("claude_code.token.usage", model, kind): value for kind, value in counted.items()}
    since = counted_since or of.started_at + timedelta(minutes=since_minutes)
    return sample.metrics_line(of, points, since, of.started_at + timedelta(minutes=until_minutes))


def commit(number: int, moment: datetime, **fields: object) -> dict[str, object]:
    return {
        "commit_hash": f"{number:040x}",
        "commit_message": "change",
        "author_name": "Dev 1",
        "author_email": "dev1@work.example",
        "commit_timestamp": moment.isoformat(),
        "files_changed": 1,
        "lines_added": 10,
        "lines_deleted": 0,
        "developer_id": "dev1@work.example",
        **fields,
    }


@dataclass
class Marts:
    """The dbt project on one DuckDB file.

    ``writes_json`` has dbt write its results, which benchmarks read, and its manifest, which takes
    longer than some models to build.
    """

    store: raw.Store
    state: Path
    files: int = 0
    writes_json: bool = False

    def load(
        self,
        lines: Iterable[str] = (),
        commits: Sequence[dict[str, object]] = (),
        copilot: Sequence[dict[str, object]] = (),
    ) -> None:
        self.files += 1
        path = self.state / f"telemetry-{self.files}.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines))
        with self.store.connect() as connection:
            raw.ensure_schema(connection)
            if path.stat().st_size:
                raw.load_lines(connection, [path], path.name)
            raw.load_commits(connection, (rules.commit_of(row) for row in commits))
            raw.load_copilot(connection, (rules.copilot_day(row) for row in copilot))

    def dbt(self, *command: str, variables: dict[str, object] | None = None) -> dict[str, str]:
        """Run dbt; the status of each node by its name."""
        install_packages(PROJECT, self.state)
        folder, target = str(PROJECTS / PROJECT), self.state / "target"
        arguments = [
            *command,
            *("--project-dir", folder, "--profiles-dir", folder),
            *("--target-path", str(target), "--log-path", str(self.state / "logs")),
            *("--vars", json.dumps(variables or {}), "--quiet", "--log-level-file", "none"),
            *([] if self.writes_json else ["--no-write-json"]),
        ]
        with set_environment({PATH_VARIABLE: str(self.store.path)}):
            begin_parsed(PROJECT, target, variables=variables)
            outcome = dbt_as_in_flows(arguments)
        DuckDBConnectionManager.env().close()
        if outcome.exception:
            raise outcome.exception
        return {result.node.name: str(result.status) for result in outcome.result.results}

    def run(self, *options: str, variables: dict[str, object] | None = None) -> None:
        """Build the models alone, which takes a third of the time; seeds once per file."""
        seeded = self.one(
            "select count(*) from information_schema.tables where table_name = 'model_prices'"
        )
        statuses = {} if seeded else self.dbt("seed")
        statuses |= self.dbt("run", *options, variables=variables)
        assert set(statuses.values()) <= GOOD, statuses

    def run_to(
        self, *models: str, anew: bool = False, variables: dict[str, object] | None = None
    ) -> None:
        """Build these models and what they are made of, which is all that a test of them needs."""
        options = ["--full-refresh"] if anew else []
        self.run(*options, "--select", *(f"+{model}" for model in models), variables=variables)

    def build(self) -> dict[str, str]:
        """Build everything but unit tests, which do not depend on the rows; anything that is
        neither good nor a warning fails."""
        statuses = self.dbt("build", "--exclude-resource-type", "unit_test")
        bad = {name: status for name, status in statuses.items() if status not in GOOD | {"warn"}}
        assert not bad
        return statuses

    def execute(self, statement: str) -> None:
        with duckdb.connect(str(self.store.path)) as connection:
            connection.execute(statement)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.store.path)) as connection:
            return connection.execute(statement).fetchall()

    def one(self, statement: str) -> Any:
        ((value,),) = self.query(statement)
        return value

    def tables(self) -> dict[str, list[str]]:
        """Every table dbt made, as sorted texts of rows; without the marks of when it was read."""
        with duckdb.connect(str(self.store.path)) as connection:
            names = connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables "
                "where table_schema in ('staging', 'intermediate', 'mart', 'report') order by 1"
            ).fetchall()
            return {name: _rows(connection, name) for (name,) in names}

    def empty(self) -> None:
        """No raw rows and no models; the seeds stay."""
        with self.store.connect() as connection:
            for schema in ("raw", "mart", "intermediate", "report"):
                connection.execute(f"drop schema if exists {schema} cascade")
            models = connection.execute(
                "select table_name from information_schema.tables "
                "where table_schema = 'staging' and starts_with(table_name, 'stg_') "
                "and table_type = 'BASE TABLE'"
            ).fetchall()
            for (model,) in models:
                connection.execute(f"drop table staging.{model}")
            raw.ensure_schema(connection)


def _rows(connection: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Sums of floats depend on the order of adding: nine digits are compared."""
    cursor = connection.execute(f"select * from {relation}")
    assert cursor.description is not None
    names = [column[0] for column in cursor.description]
    kept = [i for i, name in enumerate(names) if name not in MARKS]
    return sorted(
        str([f"{row[i]:.9g}" if isinstance(row[i], float) else row[i] for i in kept])
        for row in cursor.fetchall()
    )
