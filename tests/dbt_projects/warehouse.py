"""One dbt project on one PostgreSQL database, built in this process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import psycopg
from dbt.cli.main import dbtRunner, dbtRunnerResult

from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import rare_garbage_collection
from flows._shared.orchestration.dbt.question import Planning
from flows._shared.orchestration.dbt_planned import planned
from flows._shared.orchestration.dbt_runner import cheaper_dbt
from tests.parsed import PROJECTS as PROJECTS
from tests.parsed import begin_parsed
from tests.parsed import install_packages as install_packages

ROOT = Path(__file__).parents[2]
Row = tuple[Any, ...]
NO_VARIABLES = "{}"


# A target of dbt that reads these variables; it wants a schema.
POSTGRES_OUTPUT: Mapping[str, object] = {
    "type": "postgres",
    "host": "{{ env_var('DBT_POSTGRES_HOST', '') }}",
    "port": "{{ env_var('DBT_POSTGRES_PORT', '0') | int }}",
    "user": "{{ env_var('DBT_POSTGRES_USER', '') }}",
    "password": "{{ env_var('DBT_ENV_SECRET_POSTGRES_PASSWORD', '') }}",
    "dbname": "{{ env_var('DBT_POSTGRES_DATABASE', '') }}",
    "threads": 2,
}


def postgres_environment(url: str) -> dict[str, str]:
    """The variables every PostgreSQL profile here reads, for one libpq URL."""
    parts = urlsplit(url)
    return {
        "DBT_POSTGRES_HOST": parts.hostname or "127.0.0.1",
        "DBT_POSTGRES_PORT": str(parts.port or 5432),
        "DBT_POSTGRES_USER": unquote(parts.username or ""),
        "DBT_ENV_SECRET_POSTGRES_PASSWORD": unquote(parts.password or ""),
        "DBT_POSTGRES_DATABASE": parts.path.lstrip("/"),
        "DBT_POSTGRES_SSLMODE": "prefer",
    }


@dataclass(frozen=True)
class Warehouse:
    """A project, the database it is built in and a folder for dbt's own files.

    One database serves many tests, because dbt parses a project anew for another database.
    ``writes_json`` has dbt write its results, which benchmarks read, and its manifest, which takes
    longer than some models to build.
    """

    project: str
    url: str
    state: Path
    variables: str = NO_VARIABLES
    writes_json: bool = False

    def dbt(self, *command: str) -> dict[str, str]:
        """Run a dbt command; the status of each node by its name."""
        project, target = PROJECTS / self.project, self.state / "target"
        arguments = [
            *command,
            *("--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target-path", str(target), "--log-path", str(self.state / "logs")),
            *("--vars", self.variables, "--quiet", "--log-level-file", "none"),
            *([] if self.writes_json else ["--no-write-json"]),
        ]
        with set_environment(postgres_environment(self.url)):
            begin_parsed(self.project, target, variables=json.loads(self.variables))
            outcome = dbt_as_in_flows(arguments)
        if outcome.exception:
            raise outcome.exception
        return {result.node.name: str(result.status) for result in outcome.result.results}

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def rows(self, relation: str) -> list[str]:
        """Every row of a relation of the analytics schema as text, in a fixed order."""
        with psycopg.connect(self.url) as connection:
            return _rows(connection, relation)

    def tables(self) -> dict[str, list[str]]:
        """All tables of the analytics schema with their rows."""
        with psycopg.connect(self.url) as connection:
            names = connection.execute(
                "select tablename from pg_tables "
                "where schemaname = 'analytics' and tablename <> 'built_nodes'"
            ).fetchall()
            return {name: _rows(connection, name) for (name,) in names}


def _rows(connection: psycopg.Connection, relation: str) -> list[str]:
    statement = f"select t::text from analytics.{relation} t order by 1"
    return [row for (row,) in connection.execute(statement.encode()).fetchall()]


def dbt_as_in_flows(arguments: list[str], leaves_out: bool = True) -> dbtRunnerResult:
    """A dbt command in this process, with what a flow does to make it cheap.

    A build of everything leaves out what cannot have changed, as that of a flow does: among the
    results that has the status of its last success.
    """
    asked = {"--select", "--exclude", "--full-refresh", "--empty"}.intersection(arguments)
    planning = Planning(leaves_out and not asked)
    with rare_garbage_collection(), cheaper_dbt(), planned(planning):
        outcome = dbtRunner().invoke(arguments)
    for node, _ in planning.left_out:
        status = "pass" if "test" in node.resource_type else "success"
        outcome.result.results.append(SimpleNamespace(node=node, status=status))
    return outcome


def in_order(rows: list[Row]) -> list[Row]:
    return sorted((tuple(_plain(value) for value in row) for row in rows), key=repr)


def _plain(value: object) -> object:
    """One spelling for what two databases spell in their own way; floats to nine digits."""
    match value:
        case bool():
            return value
        case float() | Decimal():
            return round(float(value), 9) + 0.0
        case datetime():
            return value.replace(tzinfo=None)
        case UUID():
            return str(value)
    return value
