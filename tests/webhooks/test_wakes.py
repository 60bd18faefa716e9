"""Deliveries ask for a run at once and for none beside one that waits, on a real server.

No worker is needed: a run's states are set as its worker would.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.local.processes import wait_until
from flows._shared.errors import PlatformError
from flows._shared.orchestration import waiting_runs
from flows.webhooks import wakes
from flows.webhooks.inbox import prepare_inbox, store
from flows.webhooks.wakes import Wakes
from tests.deployments.pool import Pool
from tests.webhooks.test_inbox import delivery

# Kinds that the package's own receiver never gets: it wakes what is on the session's server, too.
SALES, GOODS = "sales-of-wakes", "goods-of-wakes"
TOPICS = (f"scout.{SALES}", f"scout.{GOODS}")


class Woken:
    """A deployment that deliveries of one domain wake, and the inbox they are in."""

    def __init__(self, pool: Pool, inbox: psycopg.Connection[Any], topics: tuple[str, ...]) -> None:
        self.pool = pool
        self.inbox = inbox
        self.name = f"woken-{uuid.uuid4().hex[:8]}"
        flow = pool.post("flows/", {"name": "example"})
        self.id = pool.post(
            "deployments/",
            {
                "name": self.name,
                "flow_id": flow["id"],
                "work_pool_name": pool.name,
                "entrypoint": "tests.deployments.example_flow.example",
                "pull_steps": [],
                "parameters": {"layer": "all"},
                "tags": ["on-delivery", *topics],
            },
        )["id"]
        self.automation = pool.post(
            "automations/",
            {
                "name": self.name,
                "trigger": {
                    "type": "event",
                    "posture": "Reactive",
                    "expect": ["scout.delivery.pending"],
                    "match_related": {
                        "prefect.resource.role": "deployment",
                        "prefect.resource.name": self.name,
                    },
                    "threshold": 1,
                    "within": 0,
                },
                "actions": [
                    {"type": "run-deployment", "source": "selected", "deployment_id": self.id}
                ],
            },
        )["id"]

    def remove(self) -> None:
        self.pool.api.call("DELETE", f"automations/{self.automation}")
        self.pool.api.call("DELETE", f"deployments/{self.id}")

    def deliver(self, **changes: Any) -> None:
        assert store(self.inbox, [delivery(uuid.uuid4().hex, **{"kind": SALES, **changes})])

    def runs(self) -> list[dict[str, Any]]:
        body = {"flow_runs": {"deployment_id": {"any_": [self.id]}}}
        return self.pool.post_list("flow_runs/filter", body)

    def has(self, number: int) -> bool:
        return wait_until(lambda: len(self.runs()) >= number, 20, pause=0.1) and (
            len(self.runs()) == number
        )

    def begin(self, run: Mapping[str, Any], state: str = "RUNNING") -> None:
        body = {"state": {"type": state}, "force": True}
        self.pool.api.call("POST", f"flow_runs/{run['id']}/set_state", body)

    def start(self, **options: Any) -> Mapping[str, Any]:
        return self.pool.post(f"deployments/{self.id}/create_flow_run", options)

    def age(self, seconds: int) -> None:
        self.inbox.execute(
            "update webhooks.wakes set asked_at = asked_at - make_interval(secs => %s)", (seconds,)
        )

    def outstanding(self) -> int:
        row = self.inbox.execute(
            "select asks from webhooks.wakes where deployment = %s", (self.id,)
        ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakes, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(wakes, "IDLE_SECONDS", 0.0)


@pytest.fixture
def woken(prefect_server: str, database: str) -> Iterator[Woken]:
    with psycopg.connect(database, autocommit=True) as inbox:
        prepare_inbox(inbox)
        made = Woken(Pool(prefect_server), inbox, TOPICS)
        yield made
        made.remove()


def test_a_delivery_asks_for_a_run_at_once_and_for_none_beside_one_that_waits(
    woken: Woken,
) -> None:
    asking = Wakes()
    asking.ask(woken.inbox)
    assert woken.runs() == []
    woken.deliver()
    asking.ask(woken.inbox)
    assert woken.has(1)
    for kind in (SALES, GOODS, SALES):
        woken.deliver(kind=kind)
        asking.ask(woken.inbox)
    (run,) = woken.runs()
    woken.begin(run, "PENDING")
    woken.deliver()
    asking.ask(woken.inbox)
    assert len(woken.runs()) == 1
    # It may have read the inbox before this one came.
    woken.begin(run)
    woken.deliver()
    asking.ask(woken.inbox)
    assert woken.has(2)
    woken.deliver()
    asking.ask(woken.inbox)
    asking.ask(woken.inbox)
    assert len(woken.runs()) == 2
    for each in woken.runs():
        woken.begin(each, "COMPLETED")
    asking.ask(woken.inbox)
    assert len(woken.runs()) == 2


def test_what_comes_while_a_run_is_asked_for_is_asked_for_once_it_has_begun(woken: Woken) -> None:
    asking = Wakes()
    woken.deliver()
    asking.ask(woken.inbox)
    assert woken.has(1)
    (run,) = woken.runs()
    # Before the run is seen to be there.
    woken.begin(run)
    woken.deliver()
    asking.ask(woken.inbox)
    assert woken.has(2)


@pytest.mark.parametrize(
    ("options", "reads_it"),
    [
        ({}, True),
        ({"parameters": {"layer": "gold"}}, False),
        ({"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "later"}}}, False),
    ],
)
def test_only_a_run_that_is_due_and_does_what_the_deployment_does_counts_as_waiting(
    options: dict[str, Any], reads_it: bool, woken: Woken
) -> None:
    if "state" in options:
        later = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
        options["state"]["state_details"]["scheduled_time"] = later
    woken.start(**options)
    woken.deliver()
    Wakes().ask(woken.inbox)
    assert woken.has(1 if reads_it else 2)
    assert woken.outstanding() == (0 if reads_it else 1)


def test_a_queue_of_other_runs_hides_none_that_waits(
    woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_runs, "PAGE", 2)
    for _ in range(3):
        woken.start(parameters={"layer": "gold"})
    asking = Wakes()
    for _ in range(3):
        woken.deliver()
        asking.ask(woken.inbox)
        assert woken.has(4)


def test_a_run_that_a_dead_worker_left_pending_is_not_waited_for_without_end(
    woken: Woken, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Wakes()
    woken.begin(woken.start(), "PENDING")
    woken.deliver()
    asking.ask(woken.inbox)
    assert len(woken.runs()) == 1
    monkeypatch.setattr(waiting_runs, "LONGEST_PENDING", timedelta(0))
    woken.deliver()
    asking.ask(woken.inbox)
    assert woken.has(2)


def test_a_run_of_another_kind_is_not_the_one_that_was_asked_for(woken: Woken) -> None:
    asking = Wakes()
    woken.pool.api.call("PATCH", f"automations/{woken.automation}", {"enabled": False})
    woken.deliver()
    asking.ask(woken.inbox)
    woken.start(parameters={"layer": "gold"})
    asking.ask(woken.inbox)
    assert woken.outstanding() == 1


def test_a_deployment_that_comes_later_or_is_made_anew_is_asked_for(woken: Woken) -> None:
    asking = Wakes()
    woken.deliver()
    woken.pool.api.call("PATCH", f"deployments/{woken.id}", {"tags": []})
    asking.ask(woken.inbox)
    assert woken.runs() == []
    tags = ["on-delivery", *TOPICS, "2026.11", "a.b.c", ".", "scout."]
    woken.pool.api.call("PATCH", f"deployments/{woken.id}", {"tags": tags})
    asking.ask(woken.inbox)
    assert woken.has(1)


def test_other_deliveries_wake_nobody(woken: Woken) -> None:
    asking = Wakes()
    for changes in ({"kind": "refresh"}, {"slug": "webhooks"}, {"slug": None}):
        woken.deliver(**changes)
        asking.ask(woken.inbox)
    assert woken.outstanding() == 0
    assert woken.runs() == []
    woken.deliver()
    asking.ask(woken.inbox)
    assert woken.has(1)


def test_an_event_of_which_no_run_came_is_sent_again_less_and_less_often(woken: Woken) -> None:
    asking = Wakes()
    woken.pool.api.call("PATCH", f"automations/{woken.automation}", {"enabled": False})
    woken.deliver()
    asking.ask(woken.inbox)
    asking.ask(woken.inbox)
    assert woken.outstanding() == 1
    woken.age(16)
    asking.ask(woken.inbox)
    assert woken.outstanding() == 2
    woken.age(16)
    asking.ask(woken.inbox)
    assert woken.outstanding() == 2
    assert woken.runs() == []
    woken.pool.api.call("PATCH", f"automations/{woken.automation}", {"enabled": True})
    woken.age(16)
    asking.ask(woken.inbox)
    assert woken.has(1)
    asking.ask(woken.inbox)
    assert woken.outstanding() == 0


def test_of_several_that_look_one_asks(woken: Woken, database: str) -> None:
    woken.deliver()
    Wakes().ask(woken.inbox)
    with psycopg.connect(database, autocommit=True) as other:
        Wakes().ask(other)
    assert woken.has(1)
    woken.begin(woken.runs()[0])
    woken.deliver()
    with psycopg.connect(database) as other:
        other.execute("select 1 from webhooks.wakes for update")
        Wakes().ask(woken.inbox)
        assert len(woken.runs()) == 1
    Wakes().ask(woken.inbox)
    assert woken.has(2)


def test_a_server_that_is_away_is_asked_again(woken: Woken) -> None:
    asking = Wakes()
    woken.deliver()
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(PlatformError, match="looking for whom deliveries wake"),
    ):
        asking.ask(woken.inbox)
    asking.ask(woken.inbox)
    assert woken.has(1)
