"""A thread of dbt keeps its connection, and no node notices."""

from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import yaml
from dbt.adapters.postgres import PostgresCredentials

from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.dbt_postgres import OneConnectionPerThread
from tests.dbt_projects.warehouse import postgres_environment

Build = Callable[..., dict[str, Any]]


def model(columns: str, after: str = "", pre_hook: str = "") -> str:
    hook = f"{{{{ config(pre_hook={pre_hook!r}) }}}}" if pre_hook else ""
    upstream = f"-- depends_on: {{{{ ref('{after}') }}}}" if after else ""
    return f"{hook}\n{upstream}\nselect pg_backend_pid() as pid{columns}"


def output(url: str) -> dict[str, Any]:
    variables = postgres_environment(url)
    return {
        "schema": "public",
        "host": variables["DBT_POSTGRES_HOST"],
        "port": int(variables["DBT_POSTGRES_PORT"]),
        "user": variables["DBT_POSTGRES_USER"],
        "password": variables["DBT_ENV_SECRET_POSTGRES_PASSWORD"],
        "database": variables["DBT_POSTGRES_DATABASE"],
    }


@pytest.fixture
def build(database: str, tmp_path: Path) -> Build:
    """Builds these models as tables; the row of each."""

    def build(models: Mapping[str, str], **profile: str) -> dict[str, Any]:
        folder = tmp_path / "sample"
        (folder / "models").mkdir(parents=True)
        project = {"name": "sample", "profile": "sample", "models": {"+materialized": "table"}}
        (folder / "dbt_project.yml").write_text(yaml.safe_dump(project))
        own = {"type": "postgres", **output(database), **profile}
        profiles = {"sample": {"target": "own", "outputs": {"own": own}}}
        (folder / "profiles.yml").write_text(yaml.safe_dump(profiles))
        for name, text in models.items():
            (folder / "models" / f"{name}.sql").write_text(text)
        with set_environment({"ANALYTICS_FLOWS_STATE_DIR": str(tmp_path / "state")}):
            build_dbt("sample", {}, DbtOptions(threads=1), projects_dir=tmp_path)
        with psycopg.connect(database, row_factory=psycopg.rows.dict_row) as connection:
            return {
                name: connection.execute(f"select * from {name}".encode()).fetchone()
                for name in models
            }

    return build


def test_nodes_of_a_thread_share_a_connection_and_nothing_else(build: Build, database: str) -> None:
    """Each has the settings that SQL rests on, whatever the database has."""
    with psycopg.connect(database) as connection:
        name = database.rpartition("/")[2].partition("?")[0]
        connection.execute(f"alter database {name} set datestyle to 'German'".encode())
        connection.execute(f"alter database {name} set extra_float_digits to -5".encode())
    leftovers = (
        "create temporary table leftover (a int); set work_mem = '123MB'; "
        "select pg_advisory_lock(7)"
    )
    seen = (
        ", current_setting('work_mem') as work_mem, to_regclass('leftover')::text as leftover"
        ", (select count(*) from pg_locks where locktype = 'advisory') as locks"
        ", concat(date '2026-01-02', ' ', (0.1::float8 + 0.2)::text) as spelled"
    )
    rows = build({"first": model(seen, pre_hook=leftovers), "second": model(seen, after="first")})
    first, second = rows["first"], rows["second"]
    assert first["pid"] == second["pid"]
    assert (first["work_mem"], first["leftover"], first["locks"]) == ("123MB", "leftover", 1)
    assert first["spelled"] == second["spelled"] == "2026-01-02 0.30000000000000004"
    assert second["work_mem"] != "123MB"
    assert (second["leftover"], second["locks"]) == (None, 0)


def test_a_connection_that_was_lost_while_its_thread_waited_is_made_anew(database: str) -> None:
    profile = SimpleNamespace(credentials=PostgresCredentials(**output(database)))
    connections = OneConnectionPerThread(profile, get_context("spawn"))

    def pid(node: str) -> int:
        connections.set_connection_name(node)
        found: int = connections.add_query("select pg_backend_pid()")[1].fetchone()[0]
        connections.release()
        return found

    try:
        first = pid("first")
        assert pid("second") == first
        with psycopg.connect(database) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [first])
        third = pid("third")
        assert third != first
        assert pid("fourth") == third
    finally:
        connections.cleanup_all()


def test_every_node_has_the_role_of_the_profile(build: Build, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("drop role if exists dbt_builder")
        connection.execute("create role dbt_builder")
        connection.execute("grant create on schema public to dbt_builder")
    try:
        user = ", current_user::text as builder"
        rows = build(
            {"first": model(user), "second": model(user, after="first")}, role="dbt_builder"
        )
        assert {row["builder"] for row in rows.values()} == {"dbt_builder"}
    finally:
        with psycopg.connect(database) as connection:
            connection.execute("drop owned by dbt_builder")
            connection.execute("drop role dbt_builder")
