"""Builds that come at once, of one project and of two, in one pool and in two: each row is there as
if they had come one after the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployments.local import runtime
from deployments.local.paths import LocalPaths
from deployments.local.processes import wait_until
from deployments.local.worker import PREFORK, PROCESS, ProcessWorker
from tests.dbt_projects.warehouse import POSTGRES_OUTPUT, postgres_environment
from tests.deployments.pool import Pool

PATIENCE_SECONDS = 240.0
FINISHED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
BUILDS_OF_EACH = 2
PROJECTS = ("one", "two")
# Of a build that reads while another writes, the number or the sum would be another.
MODELS = {
    "builds": "{{ config(materialized='incremental') }}\n"
    "select {% if is_incremental() %}(select max(n) + 1 from {{ this }}){% else %}1{% endif %}\n"
    "as n, pg_sleep(0.5)::text as slept",
    "summed": "{{ config(materialized='table') }}\n"
    "select count(*) as builds, sum(n) as summed from {{ ref('builds') }}",
}


@pytest.fixture
def pools(prefect_server: str, local_paths: LocalPaths, tmp_path: Path) -> Iterator[list[Pool]]:
    made, workers = [], []
    try:
        for kind in (PREFORK, PROCESS):
            pool = Pool(prefect_server, kind)
            worker = ProcessWorker(LocalPaths(tmp_path / kind))
            environment = {
                **runtime.environment(local_paths, pool.url),
                "PREFECT_WORK_POOL": pool.name,
                "PREFECT_WORKER_QUERY_SECONDS": "1",
            }
            worker.start(environment, pool.api)
            made.append(pool)
            workers.append(worker)
        yield made
    finally:
        for worker in workers:
            worker.stop()


def write_projects(folder: Path) -> None:
    for name in PROJECTS:
        models = folder / name / "models"
        models.mkdir(parents=True)
        (folder / name / "dbt_project.yml").write_text(
            f"name: {name}\nversion: 1.0.0\nprofile: {name}\n"
        )
        output = {**POSTGRES_OUTPUT, "schema": name}
        profile = {name: {"target": "dev", "outputs": {"dev": output}}}
        (folder / name / "profiles.yml").write_text(json.dumps(profile))
        for model, query in MODELS.items():
            (models / f"{model}.sql").write_text(query)


def deployed(pool: Pool, environment: dict[str, str]) -> str:
    flow = pool.post("flows/", {"name": "builds-at-once"})
    body = {
        "name": pool.name,
        "flow_id": flow["id"],
        "work_pool_name": pool.name,
        "entrypoint": "tests.deployments.prefork.flows.build",
        "pull_steps": [],
        "job_variables": {"env": environment},
    }
    return str(pool.post("deployments/", body)["id"])


@pytest.mark.exhaustive
def test_builds_at_once_leave_what_builds_one_after_the_other_leave(
    pools: list[Pool], database: str, tmp_path: Path
) -> None:
    write_projects(tmp_path)
    environment = postgres_environment(database)
    runs: list[tuple[Pool, str]] = []
    for pool in pools:
        deployment = deployed(pool, environment)
        for project in PROJECTS * BUILDS_OF_EACH:
            given = {"project": project, "projects": str(tmp_path), "is_whole": True}
            runs.append((pool, str(pool.api.start_run(deployment, given)["id"])))

    def states() -> list[Any]:
        return [pool.api.flow_run(run)["state"] for pool, run in runs]

    assert wait_until(
        lambda: all(each["type"] in FINISHED for each in states()), PATIENCE_SECONDS, pause=0.5
    )
    assert [each["type"] for each in states()] == ["COMPLETED"] * len(runs), states()
    builds = BUILDS_OF_EACH * len(pools)
    with psycopg.connect(database) as connection:
        for project in PROJECTS:
            numbers = connection.execute(f"select n from {project}.builds order by n").fetchall()
            summed = connection.execute(f"select builds, summed from {project}.summed").fetchall()
            assert numbers == [(n,) for n in range(1, builds + 1)]
            assert summed == [(builds, sum(range(1, builds + 1)))]
