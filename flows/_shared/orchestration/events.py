"""Sending events of the catalogue to the Prefect server.

By HTTP, acknowledged before the call returns: what Prefect's own ``emit_event`` queues for a
background thread is lost when a short process ends, and without ``PREFECT_API_URL`` it goes to a
server that is thrown away.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import PREFECT_API_URL

from flows._shared.counted import counted
from flows._shared.errors import PermanentError, TransientError
from flows._shared.events import (
    AnomalyBegan,
    DeliveryReceived,
    Event,
    RowsLanded,
    anomaly_event,
    delivery_event,
    landed_event,
)

# The most events the server returns at a time.
PAGE = 50


class NoServerError(PermanentError):
    """No Prefect server is named: the event would reach nobody."""


class EventsNotTakenError(TransientError):
    """The Prefect server did not take the events."""


def emit_landed(
    slug: str, *, table: str, batch: str, rows: int, max_timestamp: datetime | None = None
) -> None:
    """Tell that a load changed rows, after its commit. Nothing is told when ``rows`` is 0.

    Args:
        slug: of the domain.
        table: the raw table; the event's resource is ``analytics.<slug>.<table>``.
        batch: the domain's own name for the load.
        rows: added or changed.
        max_timestamp: of the newest row, with a time zone; None where rows have no time.

    Raises:
        NoServerError, EventsNotTakenError.
    """
    if rows:
        landed = RowsLanded(table=table, batch=batch, rows=rows, max_timestamp=max_timestamp)
        send_events([landed_event(slug, landed)])


def emit_delivery(slug: str, delivery: DeliveryReceived, replays: int = 0) -> None:
    """Tell that a delivery is in the inbox. Errors as ``emit_landed``."""
    send_events([delivery_event(slug, delivery, replays)])


def emit_anomalies(slug: str, anomalies: Sequence[AnomalyBegan]) -> None:
    """Tell of each that the server has not been told of. Errors as ``emit_landed``."""
    events = [anomaly_event(slug, each) for each in anomalies]
    told = stored_events([str(event.id) for event in events]) if events else set()
    new = [event for event in events if str(event.id) not in told]
    if new:
        send_events(new)


def send_events(events: Sequence[Event]) -> None:
    """Send events and wait for the server's word; those of a run name it as related.

    Raises:
        NoServerError: ``PREFECT_API_URL`` is not set.
        EventsNotTakenError: the server did not answer, or refused.
    """
    post_events([event.as_json(_run_resources()) for event in events])


def post_events(events: Sequence[Mapping[str, Any]]) -> None:
    """Send events that are JSON already. Errors as ``send_events``."""
    ask_server("POST", "/events", list(events), f"sending {counted(len(events), 'event')}")


def stored_events(ids: Sequence[str]) -> set[str]:
    """Which of these event ids the server's store holds. Errors as ``send_events``.

    The server acknowledges an event before it stores it: one that was killed in between has lost
    what it took.
    """
    found: set[str] = set()
    for start in range(0, len(ids), PAGE):
        page = list(ids[start : start + PAGE])
        body = {"filter": {"id": {"id": page}}, "limit": PAGE}
        answer = ask_server(
            "POST", "/events/filter", body, f"looking for {counted(len(page), 'event')}"
        )
        found.update(str(event["id"]) for event in answer["events"])
    return found


def ask_server(method: Any, path: Any, body: Any, attempted: str) -> Any:
    """What the server's API answers, as JSON. Errors as ``send_events``."""
    if not PREFECT_API_URL.value():
        raise NoServerError(
            attempted, "PREFECT_API_URL is not set", "Set it to the Prefect server's API address"
        )
    try:
        response = get_client(sync_client=True).request(method, path, json=body)
        return response.json() if response.content else None
    except (httpx.HTTPError, ValueError) as error:
        # A ValueError: what answered is no Prefect server, or a proxy in its stead.
        raise EventsNotTakenError(
            attempted,
            f"{type(error).__name__}: {error}",
            "Check PREFECT_API_URL and that the server is up; they are sent again",
        ) from None


def _run_resources() -> list[dict[str, str]]:
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    found = []
    if flow and flow.flow_run:
        found.append((f"prefect.flow-run.{flow.flow_run.id}", "flow-run"))
    elif task and task.task_run.flow_run_id:
        found.append((f"prefect.flow-run.{task.task_run.flow_run_id}", "flow-run"))
    if task:
        found.append((f"prefect.task-run.{task.task_run.id}", "task-run"))
    return [{"prefect.resource.id": name, "prefect.resource.role": role} for name, role in found]
