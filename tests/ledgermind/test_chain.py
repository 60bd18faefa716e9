"""The build on BigQuery starts when an export has completed: seen on a server with a worker."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
import yaml

from blocks.registration import register
from deployments.local import runtime
from deployments.local.paths import LocalPaths
from deployments.local.worker import PREFORK, ProcessWorker
from flows.ledgermind.flow import export_tables
from flows.ledgermind.raw import operational
from flows.ledgermind.sample import mission_day
from flows.ledgermind.settings import LedgermindBigQuerySettings, LedgermindSettings
from tests.dbt_projects.warehouse import ROOT
from tests.deployments.pool import Pool
from tests.told import landed_in, run_id_of

SETTINGS = LedgermindSettings(
    bigquery=LedgermindBigQuerySettings(dataset="chain_marts", raw_dataset="chain_raw")
)
OF_A_TRIGGER = ("type", "match", "match_related", "expect", "after", "for_each", "threshold")


@pytest.fixture
def pool(prefect_server: str, bigquery_emulator: str, local_paths: LocalPaths) -> Iterator[Pool]:
    made = Pool(prefect_server, PREFORK)
    environment: Mapping[str, str] = {
        **runtime.environment(local_paths, made.url),
        "PREFECT_WORK_POOL": made.name,
        "BIGQUERY_EMULATOR_HOST": bigquery_emulator,
    }
    worker = ProcessWorker(local_paths)
    worker.start(environment, made.api)
    yield made
    worker.stop()


def deploy_with_trigger(pool: Pool) -> str:
    """The deployment of prefect.yaml, of one model only, with its own trigger; returns its id."""
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    written = next(each for each in deployments if each["name"] == "ledgermind-bigquery")
    assert written["entrypoint"] == "flows.ledgermind.flow.refresh"
    body = {
        "name": pool.name,
        "flow_id": pool.post("flows/", {"name": "ledgermind"})["id"],
        "work_pool_name": pool.name,
        "entrypoint": written["entrypoint"],
        "pull_steps": [],
        "parameters": {
            **written["parameters"],
            "settings": SETTINGS.model_dump(mode="json"),
            "dbt": {"select": ["stg_suggestion_events"]},
        },
    }
    deployment = str(pool.post("deployments/", body)["id"])
    (trigger,) = written["triggers"]
    kept = {name: value for name, value in trigger.items() if name in OF_A_TRIGGER}
    action: dict[str, Any] = {"type": "run-deployment", "source": "selected"}
    pool.post(
        "automations/",
        {
            "name": pool.name,
            "trigger": {"posture": "Reactive", **kept},
            "actions": [{**action, "deployment_id": deployment}],
        },
    )
    return deployment


def wait_for_run(pool: Pool, deployment: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    runs: Any = []
    while time.monotonic() < deadline:
        body = {"deployments": {"id": {"any_": [deployment]}}}
        runs = pool.post_list("flow_runs/filter", body)
        if runs and runs[0]["state_type"] in ("COMPLETED", "FAILED", "CRASHED"):
            return dict(runs[0])
        time.sleep(0.5)
    raise AssertionError(f"no finished run: {runs}")


def test_a_completed_export_tells_what_landed_and_starts_the_build_on_bigquery(
    pool: Pool, database: str, bigquery_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator)
    register(["ledgermind"], {"LEDGERMIND_DATABASE_URL": database})
    with psycopg.connect(database, autocommit=True) as connection:
        operational.create_operational_database(connection, mission_day())
    deployment = deploy_with_trigger(pool)

    state = export_tables(SETTINGS, return_state=True)
    assert state.is_completed(), state.message
    landed = landed_in(state, "ledgermind", lambda told: "suggestion_events" in told)
    assert landed["suggestion_events"]["rows"] == 12
    assert {told["batch"] for told in landed.values()} == {str(run_id_of(state))}

    run = wait_for_run(pool, deployment)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["created_by"]["type"] == "AUTOMATION"
