"""Whoever reads while a build runs: every published relation is there and has rows, whatever ends
the build, for each materialization that the projects use on PostgreSQL.

DuckDB is read from a published copy, a file that takes another's place: `tests/agent_analytics`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from deployments.local.processes import wait_until
from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import DbtBuildError, DbtOptions, build_dbt
from tests.dbt_projects.warehouse import POSTGRES_OUTPUT, PROJECTS, postgres_environment

PROJECT = """
name: read
version: 1.0.0
profile: read
vars: {digits: "10,2", divisor: 1, seconds: 0.3}
models:
  read:
    +materialized: table
    +pre-hook: "{{ shared.note_published_rows() }}"
    +post-hook: ["{{ shared.keep_readers() }}", "{{ shared.brake() }}"]
"""
PROFILES = {"read": {"target": "dev", "outputs": {"dev": {**POSTGRES_OUTPUT, "schema": "mart"}}}}
# The contract has its columns in another order than the model.
PROPERTIES = """
sources: [{name: raw, schema: raw, tables: [{name: sales}]}]
models:
  - name: in_another_order
    config: {contract: {enforced: true}}
    columns: [{name: shop, data_type: text}, {name: sale_id, data_type: integer}]
snapshots:
  - name: history
    relation: ref('in_another_order')
    config: {unique_key: sale_id, strategy: check, check_cols: [shop]}
"""
# Views have their turn after a model that takes its time, and none where it fails.
AFTER_THAT = """
{{ config(materialized='view') }}
-- depends_on: {{ ref('in_between') }}
"""
MODELS = {
    "in_another_order": "select sale_id, shop from {{ source('raw', 'sales') }}",
    "amounts": "select sale_id, cast(1.23456 as numeric({{ var('digits') }})) as amount "
    "from {{ source('raw', 'sales') }}",
    "added": "{{ config(materialized='incremental', unique_key='sale_id') }}\n"
    "select sale_id, cast(1.23456 as numeric({{ var('digits') }})) as amount "
    "from {{ source('raw', 'sales') }}",
    "late_bound": "{{ config(materialized='late_bound_view') }}\n"
    "select sale_id, shop from {{ source('raw', 'sales') }}",
    "in_between": "{{ config(meta={'is_braked': false}) }}\n"
    "-- depends_on: {{ ref('amounts') }} {{ ref('added') }} {{ ref('in_another_order') }}\n"
    "-- depends_on: {{ ref('regions') }}\n"
    "select 1 / {{ var('divisor') }} as one from pg_sleep({{ var('seconds') }})",
    "sold": AFTER_THAT + "select sale_id, shop, amount from {{ ref('in_another_order') }} "
    "inner join {{ ref('amounts') }} using (sale_id) inner join {{ ref('added') }} "
    "using (sale_id, amount)",
    "shops": AFTER_THAT + "select distinct shop, amount from {{ ref('sold') }}",
    "places": AFTER_THAT + "select region from {{ ref('regions') }}",
}
PUBLISHED = (
    *("in_another_order", "amounts", "added", "late_bound", "in_between", "sold", "shops"),
    *("places", "regions", "history"),
)
# Far less than a model takes whose views have no turn before it; more would slow the build down.
SECONDS_BETWEEN_ROUNDS = 0.005
BUILD_SECONDS = 120.0
OTHER_DIGITS = "12,4"
LEFT_OVER = "select relname from pg_class where relkind in ('r', 'v') "
LEFT_OVER += "and relname ~ '__(former|dbt)_'"
SLEEPING = "select pid from pg_stat_activity where wait_event = 'PgSleep' "
SLEEPING += "and datname = current_database()"
BUILD = """
import sys
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
build_dbt("read", {}, DbtOptions.model_validate_json(sys.argv[1]))
"""


class Reader(threading.Thread):
    """Asks again and again how many rows there are of each published relation."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self._database = database
        self._is_over = threading.Event()
        self.rounds = 0
        self.missed: set[str] = set()

    def run(self) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            while not self._is_over.wait(SECONDS_BETWEEN_ROUNDS):
                self.missed |= set(missed(connection))
                self.rounds += 1

    def end(self) -> None:
        self._is_over.set()
        self.join()


def missed(connection: psycopg.Connection) -> Iterator[str]:
    for name in PUBLISHED:
        try:
            rows = connection.execute(f"select count(*) from mart.{name}".encode()).fetchall()
        except psycopg.errors.UndefinedTable:
            yield f"{name} is absent"
        else:
            if rows == [(0,)]:
                yield f"{name} is empty"


@contextmanager
def readers(database: str, are_of_a_moment: bool = True) -> Iterator[None]:
    """One who reads all the time, and one who reads afterwards as of the beginning."""
    reader = Reader(database)
    with psycopg.connect(database) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select 1")
        reader.start()
        try:
            yield
        finally:
            reader.end()
        assert reader.rounds > 1
        assert sorted(reader.missed) == []
        if are_of_a_moment:
            assert list(missed(connection)) == []


@pytest.fixture
def shop(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a database with a source of 100 sales, and a project that was built once."""
    folder = tmp_path / "read"
    for name in ("models", "seeds", "macros"):
        (folder / name).mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(json.dumps(PROFILES))
    (folder / "packages.yml").write_text(f"packages: [{{local: {PROJECTS / '_shared'}}}]")
    (folder / "models" / "models.yml").write_text(PROPERTIES)
    (folder / "seeds" / "regions.csv").write_text("region\nNorth\n")
    for name, query in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(query)
    for project in ("scout", "github_scraper"):
        own = PROJECTS / project / "macros" / "materializations"
        shutil.copytree(own, folder / "macros" / "materializations", dirs_exist_ok=True)
    monkeypatch.setenv("ANALYTICS_FLOWS_DBT_PROJECTS_DIR", str(tmp_path))
    monkeypatch.setenv("ANALYTICS_FLOWS_STATE_DIR", str(tmp_path / "state"))
    with set_environment(postgres_environment(database)):
        execute(
            database,
            "create schema raw; create table raw.sales as select n as sale_id, "
            "'shop ' || n % 30 as shop from generate_series(1, 100) as t(n)",
        )
        build()
        yield database


def execute(database: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def build(**options: object) -> None:
    build_dbt("read", {}, DbtOptions(**{"build_unchanged": True, **options}))


def test_no_build_takes_from_readers_what_is_published(shop: str) -> None:
    with readers(shop):
        build()
    with readers(shop):
        build(full_refresh=True)
    assert execute(shop, LEFT_OVER) == []

    execute(shop, "delete from raw.sales where sale_id > 10")
    with readers(shop), pytest.raises(DbtBuildError, match="The brake stopped"):
        build(full_refresh=True)
    execute(shop, "insert into raw.sales select n, 'shop' from generate_series(11, 100) as t(n)")

    # Tables get other columns and are published; the views on them have no turn.
    other = {"digits": OTHER_DIGITS}
    with readers(shop, are_of_a_moment=False), pytest.raises(DbtBuildError, match="by zero"):
        build(full_refresh=True, variables={**other, "divisor": 0})
    assert execute(shop, "select distinct amount::text from mart.amounts") == [("1.2346",)]
    assert execute(shop, "select distinct amount::text from mart.shops") == [("1.23",)]
    with readers(shop):
        build(full_refresh=True, variables=other)
    assert execute(shop, "select distinct amount::text from mart.shops") == [("1.2346",)]
    assert execute(shop, LEFT_OVER) == [], "what the views rested on goes with the last of them"

    with readers(shop, are_of_a_moment=False):
        kill_a_build(shop, DbtOptions(full_refresh=True, variables={"seconds": 600}))
    execute(shop, "create table mart.amounts__former_deadbeef as select 1 as id")
    with readers(shop):
        build(full_refresh=True)
    assert execute(shop, "select distinct amount::text from mart.shops") == [("1.23",)]
    assert execute(shop, LEFT_OVER) == [("amounts__former_deadbeef",)], "a table of somebody's own"


def kill_a_build(database: str, options: DbtOptions) -> None:
    """Once tables have other columns, and before views have had their turn."""
    command = [sys.executable, "-c", BUILD, options.model_dump_json()]
    with subprocess.Popen(command, env=os.environ) as process:
        assert wait_until(
            lambda: process.poll() is not None or bool(execute(database, SLEEPING)),
            BUILD_SECONDS,
            pause=0.1,
        )
        asleep = execute(database, SLEEPING)
        process.send_signal(signal.SIGKILL)
    execute(database, f"select pg_terminate_backend({asleep[0][0]}, 10_000)")
