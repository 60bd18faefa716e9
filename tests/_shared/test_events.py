import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import ValidationError

from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT
from flows._shared.events import CATALOGUE, SLUGS, DeliveryReceived, RowsLanded, landed_event
from flows._shared.orchestration.events import (
    EventsNotTakenError,
    NoServerError,
    emit_delivery,
    emit_landed,
    stored_events,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EMIT = (
    "import sys; from flows._shared.orchestration.events import emit_landed;"
    "emit_landed('scout', table='raw_files', batch=sys.argv[1], rows=3)"
)


def wait_for(look: Callable[[], list[dict[str, Any]]], number: int) -> list[dict[str, Any]]:
    """The server stores events within five seconds of taking them."""
    deadline = time.monotonic() + 30
    while len(found := look()) < number and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def events_of(server: str, resource: str) -> list[dict[str, Any]]:
    body = {"filter": {"resource": {"id": [resource]}}}
    return list(PrefectApi(server, os.environ).call("POST", "events/filter", body)["events"])


def received(resource: str) -> DeliveryReceived:
    return DeliveryReceived(
        delivery_id="d-1", source="scout", kind=resource, bytes=12, received_at=NOON,
        attributes={"layer": "silver"},
    )  # fmt: skip


def test_every_domain_tells_of_deliveries_and_of_rows() -> None:
    for slug in SLUGS:
        assert CATALOGUE[f"{slug}.delivery.received"].payload is DeliveryReceived
        assert CATALOGUE[f"{slug}.rows.landed"].payload is RowsLanded
    assert all(name == each.name and each.description for name, each in CATALOGUE.items())


def test_a_delivery_emitted_twice_is_stored_once_with_its_payload(prefect_server: str) -> None:
    kind = f"kind-{uuid4().hex}"
    for _ in range(2):
        emit_delivery("scout", received(kind))
    emit_delivery("scout", received(kind), replays=1)
    found = wait_for(lambda: events_of(prefect_server, f"analytics.scout.{kind}"), 2)
    assert len(found) == 2
    assert {each["event"] for each in found} == {"scout.delivery.received"}
    assert found[0]["payload"]["attributes"] == {"layer": "silver"}
    assert datetime.fromisoformat(found[0]["payload"]["received_at"]) == NOON
    known = [each["id"] for each in found]
    assert stored_events([*known, str(uuid4())]) == set(known)


def test_a_landing_is_told_with_the_run_it_came_from_and_none_is_told_without_rows(
    prefect_server: str,
) -> None:
    table = f"table_{uuid4().hex}"

    @flow
    def load() -> None:
        emit_landed("scout", table=table, batch="none", rows=0)
        emit_landed("scout", table=table, batch="some", rows=7, max_timestamp=NOON)

    state = load(return_state=True)
    found = wait_for(lambda: events_of(prefect_server, f"analytics.scout.{table}"), 1)
    (event,) = found
    assert event["event"] == "scout.rows.landed"
    assert (event["payload"]["rows"], event["payload"]["batch"]) == (7, "some")
    run = f"prefect.flow-run.{state.state_details.flow_run_id}"
    assert run in [each["prefect.resource.id"] for each in event["related"]]


def test_a_process_that_ends_at_once_loses_no_event(prefect_server: str) -> None:
    batch = uuid4().hex
    subprocess.run([sys.executable, "-c", EMIT, batch], cwd=PROJECT_ROOT, check=True)
    identity = landed_event(
        "scout", RowsLanded(table="raw_files", batch=batch, rows=3, max_timestamp=None)
    ).id
    deadline = time.monotonic() + 30
    while not stored_events([str(identity)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert stored_events([str(identity)]) == {str(identity)}


def test_without_a_server_nothing_is_emitted_in_silence() -> None:
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(NoServerError, match="Set it"):
        emit_landed("scout", table="t", batch="b", rows=1)


def test_a_server_that_does_not_answer_is_an_error_another_try_may_help() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(EventsNotTakenError),
    ):
        emit_landed("scout", table="t", batch="b", rows=1)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        emit_landed("scout", table="t", batch="b", rows=1, max_timestamp=datetime(2026, 1, 1))
