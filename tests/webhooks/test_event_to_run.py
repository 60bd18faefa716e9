"""From an HTTP POST to a Completed flow run and its row, by an event, a trigger and a worker."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from deployments.local import runtime
from deployments.local.paths import LocalPaths
from deployments.local.processes import wait_until
from deployments.local.worker import ProcessWorker
from tests.deployments.pool import Pool
from tests.webhooks.harness import SECRET, Running, rows

BURST, EXHAUSTIVE_BURST = 60, 1_000
SENDERS = 8
# The other tests of the session post to the shop too; these orders are told apart by their id.
PREFIX = uuid.uuid4().hex


@dataclass
class Deployed:
    """The example deployment and its trigger, on a pool of its own with a worker."""

    pool: Pool
    id: str

    def runs(self) -> list[Mapping[str, Any]]:
        body = {"flow_runs": {"deployment_id": {"any_": [self.id]}}}
        return [*self.pool.post_list("flow_runs/filter", body)]

    def are_all_done(self) -> bool:
        return all(run["state_type"] == "COMPLETED" for run in self.runs())


@pytest.fixture
def deployed(prefect_server: str, local_paths: LocalPaths) -> Iterator[Deployed]:
    pool = Pool(prefect_server)
    flow = pool.post("flows/", {"name": "webhooks-example"})
    deployment = pool.post(
        "deployments/",
        {
            "name": pool.name,
            "flow_id": flow["id"],
            "work_pool_name": pool.name,
            "entrypoint": "tests.webhooks.example_flow.load_orders",
            "pull_steps": [],
            "parameters": {"database_block": "webhooks-session-postgres"},
            "tags": ["on-delivery", "webhooks.order"],
            "concurrency_limit": 1,
            "concurrency_options": {"collision_strategy": "ENQUEUE"},
        },
    )
    automation = pool.post(
        "automations/",
        {
            "name": pool.name,
            "trigger": {
                "type": "event",
                "posture": "Reactive",
                "expect": ["webhooks.delivery.pending"],
                "match_related": {
                    "prefect.resource.role": "deployment",
                    "prefect.resource.name": pool.name,
                },
                "threshold": 1,
                "within": 0,
            },
            "actions": [
                {
                    "type": "run-deployment",
                    "source": "selected",
                    "deployment_id": deployment["id"],
                }
            ],
        },
    )
    worker = ProcessWorker(local_paths)
    environment = {**runtime.environment(local_paths, pool.url), "PREFECT_WORK_POOL": pool.name}
    worker.start(environment, pool.api)
    yield Deployed(pool, deployment["id"])
    worker.stop()
    pool.api.call("DELETE", f"automations/{automation['id']}")
    pool.api.call("DELETE", f"deployments/{deployment['id']}")


def post(client: httpx.Client, order: str) -> None:
    body = json.dumps({"order": {"id": f"{PREFIX}-{order}"}}).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "X-Shop-Signature": base64.b64encode(digest).decode(),
    }
    assert client.post("/webhook/shop", content=body, headers=headers).status_code == 202


def loaded(url: str) -> list[tuple[str, int]]:
    exists = rows(url, "select to_regclass('example.orders_per_id')")
    query = "select * from example.orders_per_id where id like %s"
    return rows(url, query, f"{PREFIX}%") if exists != [(None,)] else []


def test_a_post_becomes_a_row_by_a_run_of_its_own_and_a_burst_becomes_few_runs(
    deployed: Deployed, receiver: Running, inbox_url: str, is_exhaustive: bool
) -> None:
    burst = EXHAUSTIVE_BURST if is_exhaustive else BURST
    with httpx.Client(base_url=receiver.url, timeout=30) as client:
        began = time.monotonic()
        post(client, "first")
        assert wait_until(lambda: len(loaded(inbox_url)) == 1, 180, pause=0.3)
        print(f"\nfrom the POST to the row: {time.monotonic() - began:.1f} s")
        assert wait_until(deployed.are_all_done, 30, pause=0.5)
        assert len(deployed.runs()) == 1
        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(lambda number: post(client, str(number)), range(burst)))
    assert wait_until(lambda: len(loaded(inbox_url)) == 1 + burst, 90, pause=0.5)
    assert {count for _, count in loaded(inbox_url)} == {1}
    assert wait_until(deployed.are_all_done, 60, pause=0.5)
    burst_runs = len(deployed.runs()) - 1
    print(f"{burst} posts became {burst_runs} runs")
    assert 1 <= burst_runs <= 3
