"""Every trigger of prefect.yaml is seen to fire on a real server, and not to fire for others.

No worker is needed: what a trigger leaves behind is a scheduled run.
"""

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from deployments.local.paths import PROJECT_ROOT
from deployments.local.processes import wait_until
from tests.deployments.applied import Server

pytestmark = pytest.mark.in_order

BURST, EXHAUSTIVE_BURST = 60, 1_000
BURST_EVENT = "scout.delivery.received"
BURST_DEPLOYMENT, BURST_TRIGGER = "scout-on-demand", "scout-on-demand on refresh request"
ENTRIES = {
    each["name"]: each
    for each in yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text())["deployments"]
}
TRIGGERS = {
    trigger["name"]: (name, trigger)
    for name, entry in ENTRIES.items()
    for trigger in entry.get("triggers", [])
}
DELIVERED: Mapping[str, Mapping[str, Any]] = {"refresh": {"layer": "silver"}}


def event(trigger: Mapping[str, Any], *, matches: bool) -> dict[str, Any]:
    """An event that the trigger waits for, or one of the same name about something else."""
    told_of = f"analytics.{trigger['expect'][0].partition('.')[0]}.inbox"
    wanted = trigger.get("match", {}).get("prefect.resource.id", told_of)
    resource = wanted if isinstance(wanted, str) else wanted[0]
    related = trigger.get("match_related")
    resource = resource.replace("*", str(uuid.uuid4()) if related else "any")
    if not matches and not related:
        resource = "analytics.another.thing"
    kind = resource.rpartition(".")[2]
    attributes = DELIVERED.get(kind, {})
    # Where several are listed, one of them is enough.
    name = {
        key: value if isinstance(value, str) else value[0] for key, value in (related or {}).items()
    }
    if name and not matches:
        name["prefect.resource.name"] = "another"
    return {
        "id": str(uuid.uuid4()),
        "event": trigger["expect"][0],
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {
            "prefect.resource.id": resource,
            **{f"analytics.{key}": str(value) for key, value in attributes.items()},
        },
        "related": [{"prefect.resource.id": f"prefect.deployment.{uuid.uuid4()}", **name}]
        if name
        else [],
        "payload": {"delivery_id": "a-delivery", "kind": kind, "attributes": attributes},
    }


@pytest.fixture(scope="module")
def server(prefect_server: str) -> Server:
    own = Server(prefect_server)
    assert own.apply() == 0
    return own


@pytest.fixture(scope="module")
def after_other_events(server: Server) -> Mapping[str, int]:
    """How many runs there are after one event of each trigger's name that it must not match."""
    server.send(*[event(trigger, matches=False) for _, trigger in TRIGGERS.values()])
    time.sleep(3)
    return {name: len(server.runs(deployment, name)) for name, (deployment, _) in TRIGGERS.items()}


@pytest.fixture(scope="module")
def fired(server: Server, after_other_events: Mapping[str, int], is_exhaustive: bool) -> datetime:
    """When one event for each trigger was sent, dozens for one of them."""
    size = EXHAUSTIVE_BURST if is_exhaustive else BURST
    at = datetime.now(UTC)
    server.send(*[event(trigger, matches=True) for _, trigger in TRIGGERS.values()])
    _, burst = TRIGGERS[BURST_TRIGGER]
    for _ in range(10):
        server.send(*[event(burst, matches=True) for _ in range(size // 10)])
    asked = [(deployment, name) for name, (deployment, _) in TRIGGERS.items()]
    # A server on SQLite writes all events and a run for each trigger one after the other.
    wait_until(lambda: all(server.runs(*each) for each in asked), 120, pause=0.5)
    # Other tests of the session have had deliveries, too.
    since = {"since": at.isoformat()}
    count = {"filter": {"event": {"name": [BURST_EVENT]}, "occurred": since}}
    assert wait_until(
        lambda: server.api.call("POST", "events/filter", count)["total"] >= size, 120, pause=0.5
    )
    return at


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_lets_other_events_pass(name: str, after_other_events: Mapping[str, int]) -> None:
    assert after_other_events[name] == 0


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_asks_for_one_run_with_its_parameters_once_its_window_has_closed(
    name: str, server: Server, fired: datetime
) -> None:
    deployment, trigger = TRIGGERS[name]
    (run,) = server.runs(deployment, name)
    assert run["state"]["type"] == "SCHEDULED"
    given = {"layer": "silver"} if "parameters" in trigger else {}
    assert run["parameters"] == {**ENTRIES[deployment]["parameters"], **given}
    starts = datetime.fromisoformat(run["expected_start_time"])
    assert starts >= fired + timedelta(seconds=trigger["schedule_after"])


def test_a_burst_of_deliveries_is_one_run_that_begins_after_the_last(
    server: Server, fired: datetime
) -> None:
    runs = server.runs(BURST_DEPLOYMENT, BURST_TRIGGER)
    assert len(runs) in (1, 2)
    last = server.api.call(
        "POST",
        "events/filter",
        {
            "filter": {
                "event": {"name": [BURST_EVENT]},
                "occurred": {"since": fired.isoformat()},
            },
            "limit": 1,
        },
    )["events"][0]
    assert datetime.fromisoformat(runs[0]["expected_start_time"]) > datetime.fromisoformat(
        last["occurred"]
    )


def test_two_layers_asked_for_at_once_are_two_runs(server: Server, fired: datetime) -> None:
    name = "scout-on-demand on refresh request"
    deployment, trigger = TRIGGERS[name]
    for layer in ("gold", "gold", ""):
        asked = event(trigger, matches=True)
        asked["payload"]["attributes"] = {"layer": layer} if layer else {}
        asked["resource"]["analytics.layer"] = layer
        server.send(asked)
    assert wait_until(lambda: len(server.runs(deployment, name)) == 3, 60, pause=0.5)
    layers = sorted(run["parameters"]["layer"] for run in server.runs(deployment, name))
    assert layers == ["all", "gold", "silver"]
