"""``kill -9`` of each part in turn, under load: nothing that got a 2xx is lost or there twice."""

import json
import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from deployments.local.api import PrefectApi
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import wait_until
from deployments.local.server import PrefectServer
from flows._shared.orchestration.events import stored_events
from tests.webhooks.harness import Running, github_headers, register, rows, start

SENDERS = 3
PAUSE_SECONDS = 0.05
# While a part takes its time to come back, which is most of this test.
LONG_PAUSE_SECONDS = 0.5
STEADY_SECONDS = 0.5


class Load:
    """Senders that post without end and remember what was promised to them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_over = threading.Event()
        self._pause = PAUSE_SECONDS
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        self.promised: list[str] = []
        self.statuses: set[int] = set()

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self) -> None:
        """Until deliveries are promised again, as many as before."""
        self._pause = PAUSE_SECONDS
        before = len(self.promised)
        assert wait_until(lambda: len(self.promised) > before + 10, 60)
        time.sleep(STEADY_SECONDS)

    def slow_down(self) -> None:
        """Send on, a few in a second, until more is waited for."""
        self._pause = LONG_PAUSE_SECONDS

    def _send(self) -> None:
        with httpx.Client(base_url=self._url, timeout=15) as client:
            while not self._is_over.wait(self._pause):
                body = json.dumps({"ref": str(uuid.uuid4())}).encode()
                headers = github_headers(body)
                try:
                    status = client.post("/webhook/github", content=body, headers=headers)
                except httpx.TransportError:
                    continue
                self.statuses.add(status.status_code)
                if status.is_success:
                    self.promised.append(headers["X-GitHub-Delivery"])


@pytest.fixture
def crashing(database: str, prefect_server: str, tmp_path: Path) -> Running:
    name = uuid.uuid4().hex[:8]
    register(name, database)
    return start(tmp_path, name, lease_seconds=3, confirm_seconds=6)


def test_killing_each_part_under_load_loses_no_promised_delivery_and_tells_each_once(
    crashing: Running,
    database: str,
    postgres: EmbeddedPostgres,
    local_paths: LocalPaths,
    prefect_server: str,
) -> None:
    server = PrefectServer(local_paths)
    try:
        with Load(crashing.url) as load, ThreadPoolExecutor(1) as pool:
            load.wait_for_more()
            crashing.kill()
            load.slow_down()
            crashing.again()
            load.wait_for_more()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            load.wait_for_more()
            is_up = pool.submit(server.start)
            assert postgres.pid is not None
            os.kill(postgres.pid, signal.SIGKILL)
            assert wait_until(lambda: 503 in load.statuses, 20)
            postgres.start()
            load.wait_for_more()
            load.slow_down()
            is_up.result()
        assert load.statuses == {202, 503}
        inbox = rows(database, "select delivery_id from webhooks.deliveries")
        in_inbox = {delivery_id for (delivery_id,) in inbox}
        assert len(in_inbox) == len(inbox)
        assert set(load.promised) <= in_inbox
        assert len(set(load.promised)) == len(load.promised)
        assert wait_until(lambda: waiting(database) == 0, 90, pause=0.5)
        events = [str(each[0]) for each in rows(database, "select event_id from webhooks.outbox")]
        assert len(events) == len(inbox)
        assert stored_events(events) == set(events)
        assert stored_once(prefect_server, events)
    finally:
        crashing.stop()


def waiting(url: str) -> int:
    query = "select count(*) from webhooks.outbox where stored_at is null"
    return int(rows(url, query)[0][0])


def stored_once(server: str, events: list[str]) -> bool:
    """Whether the server's store counts each event once, sample by sample."""
    sample = events[:: max(1, len(events) // 40)][:50]
    body = {"filter": {"id": {"id": sample}}, "limit": 50}
    return bool(
        PrefectApi(server, os.environ).call("POST", "events/filter", body)["total"] == len(sample)
    )
