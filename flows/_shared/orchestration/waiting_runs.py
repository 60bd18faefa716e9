"""Which deployments are woken by deliveries, and whether a run of one is still to begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from flows._shared.events import SLUGS
from flows._shared.orchestration.events import ask_server

# A deployment with this tag is woken by deliveries of the topics that its other tags name.
ON_DELIVERY = "on-delivery"
# A run that a schedule asks for waits for its time, another for a worker or for a slot.
SOON, SOON_ON_ITS_OWN = timedelta(seconds=60), timedelta(seconds=2)
# A worker that died leaves a run Pending.
LONGEST_PENDING = timedelta(minutes=15)
PAGE = 100


@dataclass(frozen=True)
class Listener:
    """A deployment that is woken; ``topics`` are ``<slug>.<kind>``, or ``<slug>.*``."""

    id: str
    name: str
    topics: frozenset[str]
    parameters: Mapping[str, Any]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        topics = frozenset(tag for tag in found["tags"] if is_topic(tag))
        return cls(found["id"], found["name"], topics, found["parameters"])

    @property
    def slug(self) -> str:
        """Of the domain that is told of what waits for it."""
        return min(self.topics).partition(".")[0]


def listening() -> list[Listener]:
    """The deployments that deliveries wake.

    Raises:
        NoServerError, EventsNotTakenError: the server was not reached.
    """
    body = {"deployments": {"tags": {"all_": [ON_DELIVERY]}}}
    found = ask_server("POST", "/deployments/filter", body, "looking for whom deliveries wake")
    listeners = [Listener.from_json(each) for each in found]
    return [each for each in listeners if each.topics]


def has_waiting_run(listener: Listener) -> bool:
    """Whether a run has yet to begin that does what the deployment does. Errors as `listening`."""
    state = {"type": {"any_": ["SCHEDULED", "PENDING"]}}
    found: list[Mapping[str, Any]] = []
    # The earliest first; schedules make hundreds that are days away.
    page: list[Mapping[str, Any]] | None = None
    while page is None or (len(page) == PAGE and not _is_ahead(page[-1])):
        page = _runs(listener, {"state": state}, "EXPECTED_START_TIME_ASC", len(found))
        found += page
    return any(_is_due(run) for run in found if _does_the_same(run, listener))


def newest_run(listener: Listener) -> str | None:
    """The id of the last run that somebody asked for, and that does what the deployment does.

    One that a schedule made ahead of its time is none. Errors as `listening`.
    """
    soon = (datetime.now(UTC) + SOON).isoformat()
    expected = {"expected_start_time": {"before_": soon}}
    found = _runs(listener, expected, "EXPECTED_START_TIME_DESC")
    asked = (run for run in found if not run["auto_scheduled"] and _does_the_same(run, listener))
    return next((str(run["id"]) for run in asked), None)


def is_topic(tag: str) -> bool:
    """Whether a tag names deliveries: of a domain's slug and a kind, or `*` for any."""
    slug, _, kind = tag.partition(".")
    return slug in SLUGS and bool(kind)


def _runs(
    listener: Listener, wanted: Mapping[str, Any], order: str, offset: int = 0
) -> list[Mapping[str, Any]]:
    body = {
        "flow_runs": {"deployment_id": {"any_": [listener.id]}, **wanted},
        "sort": order,
        "limit": PAGE,
        "offset": offset,
    }
    found = ask_server("POST", "/flow_runs/filter", body, f"looking for runs of {listener.name}")
    return list(found)


def _does_the_same(run: Mapping[str, Any], listener: Listener) -> bool:
    """What a person asked for with parameters of their own may read nothing."""
    return bool(run["parameters"] == listener.parameters)


def _is_due(run: Mapping[str, Any]) -> bool:
    if run["state_type"] == "PENDING":
        since = datetime.fromisoformat(run["state"]["timestamp"])
        return since > datetime.now(UTC) - LONGEST_PENDING
    return not _is_ahead(run)


def _is_ahead(run: Mapping[str, Any]) -> bool:
    """Whether its time is still to come."""
    at = run["next_scheduled_start_time"] or run["expected_start_time"]
    soon = SOON_ON_ITS_OWN if run["auto_scheduled"] else SOON
    return datetime.fromisoformat(at) > datetime.now(UTC) + soon
