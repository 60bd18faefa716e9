"""Which deployments are woken by deliveries, and whether a run of one is still to begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from flows._shared.orchestration.events import ask_server

# A deployment with this tag is woken by deliveries of the topics that its other tags name.
ON_DELIVERY = "on-delivery"
# A run that a schedule asks for waits for its time, another for a worker or for a slot.
SOON, SOON_ON_ITS_OWN = timedelta(seconds=60), timedelta(seconds=2)
# The earliest ones are those that wait; schedules make hundreds that are days away.
PAGE = 20


@dataclass(frozen=True)
class Listener:
    """A deployment that is woken; ``topics`` are ``<slug>.<kind>``, or ``<slug>.*``."""

    id: str
    name: str
    topics: frozenset[str]
    parameters: Mapping[str, Any]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        topics = frozenset(tag for tag in found["tags"] if "." in tag)
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
    body = {
        "flow_runs": {
            "deployment_id": {"any_": [listener.id]},
            "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}},
        },
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": PAGE,
    }
    found = ask_server("POST", "/flow_runs/filter", body, f"looking for runs of {listener.name}")
    # What a person asked for with parameters of their own may read nothing.
    return any(_is_due(run) for run in found if run["parameters"] == listener.parameters)


def count_runs(listener: Listener) -> int:
    """How many have begun or are about to. Errors as `listening`."""
    soon = (datetime.now(UTC) + SOON).isoformat()
    body = {
        "flow_runs": {
            "deployment_id": {"any_": [listener.id]},
            "expected_start_time": {"before_": soon},
        }
    }
    attempted = f"counting the runs of {listener.name}"
    return int(ask_server("POST", "/flow_runs/count", body, attempted))


def _is_due(run: Mapping[str, Any]) -> bool:
    if run["state_type"] == "PENDING":
        return True
    at = run["next_scheduled_start_time"] or run["expected_start_time"]
    ahead = SOON_ON_ITS_OWN if run["auto_scheduled"] else SOON
    return datetime.fromisoformat(at) <= datetime.now(UTC) + ahead
