"""A dbt project of one model that takes two minutes, for runs that do not see its end."""

import json
from pathlib import Path

import httpx
import psycopg

from tests.dbt_projects.warehouse import POSTGRES_OUTPUT

PROFILES = {
    "slow": {
        "target": "postgres",
        "outputs": {
            "postgres": {**POSTGRES_OUTPUT, "schema": "public"},
            "duckdb": {"type": "duckdb", "path": "{{ env_var('SLOW_PATH') }}", "threads": 2},
            "bigquery": {
                "type": "bigquery",
                "method": "{{ env_var('DBT_BIGQUERY_METHOD', '') }}",
                "token": "{{ env_var('DBT_ENV_SECRET_BIGQUERY_TOKEN', '') }}",
                "project": "{{ env_var('DBT_BIGQUERY_PROJECT', '') }}",
                "dataset": "slow",
                "api_endpoint": "{{ env_var('DBT_BIGQUERY_API_ENDPOINT', '') }}",
                "threads": 2,
            },
        },
    }
}
SLOW = {
    "postgres": "select cast(pg_sleep(120) as text) as slept",
    "duckdb": "select count(*) as n from range(10000000) as a, range(10000000) as b "
    "where a.range % 7 = b.range % 11",
    "bigquery": "select count(*) as n from unnest(generate_array(1, 1000000)) as a, "
    "unnest(generate_array(1, 1000000)) as b where mod(a, 7) = mod(b, 11)",
}


def write_slow(projects: Path, target: str, hook: str | None = None) -> None:
    """Write the project ``slow`` below ``projects``.

    Args:
        hook: which is slow in place of its model.
    """
    project = projects / "slow"
    (project / "models").mkdir(parents=True)
    named = {"name": "slow", "version": "1.0.0", "profile": "slow"}
    hooks = {hook: SLOW[target]} if hook else {}
    (project / "dbt_project.yml").write_text(json.dumps({**named, **hooks}))
    (project / "profiles.yml").write_text(json.dumps(PROFILES))
    (project / "models" / "slow.sql").write_text(
        "{{ config(materialized='table') }}\n" + ("select 1 as n" if hook else SLOW[target])
    )


def working(database: str) -> list[tuple[str]]:
    """The slow statements that PostgreSQL works on."""
    with psycopg.connect(database) as connection:
        return connection.execute(
            "select query from pg_stat_activity where query like '%pg_sleep(120)%' "
            "and state = 'active' and pid <> pg_backend_pid()"
        ).fetchall()


def answers(emulator: str) -> bool:
    """Whether BigQuery's emulator works on no statement: while it does it answers nobody."""
    address = f"{emulator}/bigquery/v2/projects/slow/datasets"
    try:
        return httpx.get(address, timeout=1.0).is_success
    except httpx.TimeoutException:
        return False
