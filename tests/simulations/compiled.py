"""The SQL of dbt models as PostgreSQL gets it, and DuckDB, which runs it over many histories."""

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flows._shared.environment import set_environment
from tests.dbt_projects.warehouse import (
    PROJECTS,
    dbt_as_in_flows,
    install_packages,
    postgres_environment,
)
from tests.parsed import begin_parsed

DATABASE = "simulated"
# Compiling asks no database.
NOWHERE = f"postgresql://nobody@127.0.0.1:1/{DATABASE}"


def compile_models(
    project: str, state: Path, *models: str, variables: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The SQL of each model by its name."""
    install_packages(project, state)
    folder = PROJECTS / project
    arguments = ["compile", "--project-dir", str(folder), "--profiles-dir", str(folder)]
    arguments += ["--target-path", str(state), "--log-path", str(state / "logs"), "--quiet"]
    arguments += ["--no-write-json", "--no-introspect", "--no-populate-cache", "--full-refresh"]
    arguments += ["--select", *models, "--vars", json.dumps(variables or {})]
    with (
        set_environment({**postgres_environment(NOWHERE), "DO_NOT_TRACK": "1"}),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        begin_parsed(project, state, variables=variables)
        outcome = dbt_as_in_flows(arguments)
    if outcome.exception:
        raise outcome.exception
    compiled = {result.node.name: str(result.node.compiled_code) for result in outcome.result}
    return {model: compiled[model] for model in models}


class Simulated:
    """A DuckDB in which relations of a dbt project have the names that its compiled SQL uses."""

    def __init__(self, schema: str) -> None:
        self._schema = f"{DATABASE}.{schema}"
        self._connection = duckdb.connect()
        # Planning a long chain of windows takes two seconds where each is written into the next.
        self._connection.execute("set disabled_optimizers = 'cte_inlining'")
        self._connection.execute(f"attach ':memory:' as {DATABASE}")
        self._connection.execute(f"create schema {self._schema}")
        self._connection.execute(f"use {self._schema}")

    def put(self, relation: str, rows: pa.Table) -> None:
        self._connection.register("given", rows)
        self.make(relation, "select * from given")
        self._connection.unregister("given")

    def make(self, relation: str, query: str) -> None:
        self._connection.execute(f"create or replace table {self._schema}.{relation} as {query}")

    def build(self, models: Mapping[str, str]) -> None:
        for model, query in models.items():
            self.make(model, query)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    def close(self) -> None:
        self._connection.close()
