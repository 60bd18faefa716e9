"""A run that is told to stop: nothing of it goes on in the warehouse."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prefect.client.orchestration import get_client

from deployments.local.processes import wait_until
from tests.dbt_projects.warehouse import postgres_environment

SECONDS_TO_END = 5
PROFILES = """
slow:
  target: postgres
  outputs:
    postgres:
      type: postgres
      host: "{{ env_var('DBT_POSTGRES_HOST', '') }}"
      port: "{{ env_var('DBT_POSTGRES_PORT', '0') | int }}"
      user: "{{ env_var('DBT_POSTGRES_USER', '') }}"
      password: "{{ env_var('DBT_ENV_SECRET_POSTGRES_PASSWORD', '') }}"
      dbname: "{{ env_var('DBT_POSTGRES_DATABASE', '') }}"
      schema: public
      threads: 2
    duckdb: {type: duckdb, path: "{{ env_var('SLOW_PATH') }}", threads: 2}
"""
SLOW = {
    "postgres": "select cast(pg_sleep(120) as text) as slept",
    "duckdb": "select count(*) as n from range(10000000) as a, range(10000000) as b "
    "where a.range % 7 = b.range % 11",
}
BUILD = """
import sys
from prefect import flow
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.failed_run import summarized
@summarized(f"slow-{sys.argv[1]}", "slow")
@flow
def run():
    build_dbt("slow", {}, DbtOptions(target=sys.argv[1]), command="build")
run()
"""
QUERY = """
import sys
from prefect.utilities.engine import capture_sigterm
from flows._shared.postgres import connected
with capture_sigterm(), connected(sys.argv[1], "the marts") as connection:
    connection.execute("select pg_sleep(120)")
"""


def stopped(process: subprocess.Popen[bytes]) -> float:
    """Seconds from the signal to the end of a process, which Prefect ends by the same signal."""
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM, said.decode()
    return time.monotonic() - asked


def working(database: str) -> list[tuple[str]]:
    with psycopg.connect(database) as connection:
        return connection.execute(
            "select query from pg_stat_activity where query like '%pg_sleep(120)%' "
            "and state = 'active' and pid <> pg_backend_pid()"
        ).fetchall()


@pytest.mark.parametrize("target", ["postgres", "duckdb"])
def test_a_build_that_is_told_to_stop_ends_its_statements_and_says_so(
    database: str, prefect_server: str, tmp_path: Path, target: str
) -> None:
    project = tmp_path / "slow"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: slow\nversion: 1.0.0\nprofile: slow\n")
    (project / "profiles.yml").write_text(PROFILES)
    (project / "models" / "slow.sql").write_text(
        "{{ config(materialized='table') }}\n" + SLOW[target]
    )
    environment = {
        **os.environ,
        **postgres_environment(database),
        "SLOW_PATH": str(tmp_path / "slow.duckdb"),
        "ANALYTICS_FLOWS_DBT_PROJECTS_DIR": str(tmp_path),
        "ANALYTICS_FLOWS_STATE_DIR": str(tmp_path / "state"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, target], env=environment, stderr=subprocess.PIPE
    )
    if target == "postgres":
        assert wait_until(lambda: bool(working(database)), 120)
    else:
        # dbt writes what it is about to run.
        statement = tmp_path / "state" / "dbt" / "slow" / target / "run"
        assert wait_until(lambda: any(statement.rglob("slow.sql")), 120)
    assert stopped(process) < SECONDS_TO_END
    assert working(database) == []
    found: Any = f"/artifacts/slow-{target}-summary/latest"
    told = get_client(sync_client=True).request("GET", found).json()["data"]
    assert told.startswith(f"# slow-{target}: this run failed at dbt: it crashed\n")
    assert "**Failed in dbt:** slow." in told


def test_a_load_that_is_told_to_stop_ends_its_statement(database: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", QUERY, database], stderr=subprocess.PIPE)
    assert wait_until(lambda: bool(working(database)), 120)
    assert stopped(process) < SECONDS_TO_END
    assert working(database) == []
