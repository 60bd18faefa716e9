"""The catalogue of this project's events: every name, what its payload holds, and what it means.

Events are thin: ids, counts and references, never a payload that somebody sent. Whoever is started
by one asks the source (the inbox, a table) for what is pending; a burst may be one run, and only
its first event arrives there. An event's id is derived from the fact it tells, so that telling it
twice is harmless: the server keeps an id once.

Prefect-free; ``flows._shared.orchestration.events`` sends them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SLUGS = (
    "github_scraper",
    "ledgermind",
    "scout",
    "quality_compass",
    "agent_analytics",
    "webhooks",
)
RESOURCE_PREFIX = "analytics"
_IDS = UUID("8a7c5c0e-6b0a-5d0b-9f3e-3d9b1f0f7a11")

Scalar = str | int | float | bool | None


class Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeliveryReceived(Payload):
    """A delivery is in the inbox: committed, its signature checked."""

    delivery_id: str
    source: str = Field(description="As `read_deliveries` takes it, such as `github`.")
    kind: str = Field(description="As `read_deliveries` takes it, such as `push`.")
    bytes: int = Field(ge=0, description="Length of the body.")
    received_at: AwareDatetime
    attributes: Mapping[str, Scalar] = Field(
        default={}, description="References out of the body, such as `repository_id` or `layer`."
    )


class DeliveryConflict(Payload):
    """A delivery came whose id another one has, with another body; both are kept."""

    delivery_id: str
    source: str
    kind: str
    bytes: int = Field(ge=0)
    received_at: AwareDatetime


class DeliveriesPending(Payload):
    """Deliveries wait for a deployment of which no run is yet to begin."""

    deployment: str
    position: int = Field(ge=0, description="Of the newest delivery, in the inbox.")
    asks: int = Field(ge=1, description="2 or more: earlier events started nothing.")


class RowsLanded(Payload):
    """A load changed rows of a raw table, and is committed."""

    table: str
    batch: str = Field(description="The domain's own name for the load.")
    rows: int = Field(gt=0, description="Rows added or changed.")
    max_timestamp: AwareDatetime | None = Field(
        description="Time of the newest row, by the data's own clock; None where it has none."
    )


class QualityLow(Payload):
    """A table's quality score is below its limit; both go from 0 to 100."""

    score: float
    alert_below: float


class AnomalyBegan(Payload):
    """A metric departed on a finished day from what its own past let expect."""

    metric: str
    day: date
    observed: float
    expected: float | None
    owner: str = Field(description="Who is asked to look at it.")


class AlertTold(Payload):
    """Something that a person has to look at began, or is over; told once each."""

    severity: str = Field(description="`warning` or `error`.")
    owner: str = Field(description="Who is asked to look at it.")
    subject: str = Field(description="The test, source, figure or budget, and what is wrong.")
    detail: str
    rows: int | None = Field(description="Rows that fail; None where none are counted.")
    sql: str = Field(description="The query that shows them, or the file that holds it.")
    link: str = Field(description="The run in which it was seen.")
    since: AwareDatetime


@dataclass(frozen=True)
class EventType:
    """One kind of event: ``resource`` says what its resource id is made of."""

    name: str
    payload: type[Payload]
    resource: str
    description: str


def _types() -> list[EventType]:
    found = []
    for slug in SLUGS:
        prefix = f"{RESOURCE_PREFIX}.{slug}"
        received = EventType(
            f"{slug}.delivery.received",
            DeliveryReceived,
            f"{prefix}.<kind>",
            "A webhook delivery is in the inbox.",
        )
        landed = EventType(
            f"{slug}.rows.landed",
            RowsLanded,
            f"{prefix}.<table>",
            "A load changed rows of a raw table.",
        )
        pending = EventType(
            f"{slug}.delivery.pending",
            DeliveriesPending,
            f"{prefix}.inbox",
            "Deliveries wait for a run that nobody has asked for yet.",
        )
        conflict = EventType(
            f"{slug}.delivery.conflict",
            DeliveryConflict,
            f"{prefix}.<kind>",
            "Two deliveries of one id differ.",
        )
        opened = EventType(
            f"{slug}.alert.opened", AlertTold, f"{prefix}.alert", "A person has to look at it."
        )
        resolved = EventType(
            f"{slug}.alert.resolved", AlertTold, f"{prefix}.alert", "What was told of is over."
        )
        found += [received, pending, landed, conflict, opened, resolved]
    low = EventType(
        "scout.quality.low",
        QualityLow,
        "scout.table.<table>",
        "A quality score is below its limit.",
    )
    began = EventType(
        "ledgermind.anomaly.began",
        AnomalyBegan,
        f"{RESOURCE_PREFIX}.ledgermind.<metric>",
        "A metric departs from what its past lets expect.",
    )
    return [*found, low, began]


CATALOGUE: Mapping[str, EventType] = {each.name: each for each in _types()}


@dataclass(frozen=True)
class Event:
    """An event ready to be sent."""

    id: UUID
    name: str
    resource_id: str
    payload: Payload

    def as_json(self, related: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
        """What ``POST /events`` of a Prefect server takes a list of; the event occurs now.

        Triggers count events in windows of time: one that is sent late, or again, counts when it is
        sent. Payloads tell when the fact came about.
        """
        return {
            "id": str(self.id),
            "event": self.name,
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {"prefect.resource.id": self.resource_id, **self._labels()},
            "related": list(related),
            "payload": self.payload.model_dump(mode="json"),
        }

    def _labels(self) -> dict[str, str]:
        """A delivery's attributes: a trigger can tell events apart by labels, not by payloads."""
        if not isinstance(self.payload, DeliveryReceived):
            return {}
        given = self.payload.attributes.items()
        return {f"{RESOURCE_PREFIX}.{key}": str(value) for key, value in given if value is not None}


def delivery_event(slug: str, delivery: DeliveryReceived, replays: int = 0) -> Event:
    """``<slug>.delivery.received``. A delivery that was replayed is told anew: another id."""
    fact = ["received", slug, delivery.source, delivery.delivery_id]
    again = [str(replays)] if replays else []
    return _event(f"{slug}.delivery.received", delivery.kind, delivery, fact + again)


def pending_event(
    slug: str, deployment: str, deployment_id: str, position: int, asks: int
) -> Event:
    """``<slug>.delivery.pending``, one for each time a deployment is asked for."""
    fact = ["pending", deployment_id, str(position), str(asks)]
    pending = DeliveriesPending(deployment=deployment, position=position, asks=asks)
    return _event(f"{slug}.delivery.pending", "inbox", pending, fact)


def conflict_event(slug: str, conflict: DeliveryConflict, body_sha256: str) -> Event:
    """``<slug>.delivery.conflict``, one for each body."""
    fact = ["conflict", slug, conflict.source, conflict.delivery_id, body_sha256]
    return _event(f"{slug}.delivery.conflict", conflict.kind, conflict, fact)


def landed_event(slug: str, landed: RowsLanded) -> Event:
    """``<slug>.rows.landed``. The same load told twice is one event."""
    fact = ["landed", slug, landed.model_dump_json()]
    return _event(f"{slug}.rows.landed", landed.table, landed, fact)


def anomaly_event(slug: str, began: AnomalyBegan) -> Event:
    """``<slug>.anomaly.began``, one for each metric and day, whatever is observed later."""
    fact = ["anomaly", slug, began.metric, began.day.isoformat()]
    return _event(f"{slug}.anomaly.began", began.metric, began, fact)


def alert_event(slug: str, told: AlertTold, key: str, *, is_over: bool) -> Event:
    """``<slug>.alert.opened`` or ``.resolved``, one for each cause and beginning."""
    what = "resolved" if is_over else "opened"
    fact = ["alert", what, slug, key, told.severity, told.since.isoformat()]
    return _event(f"{slug}.alert.{what}", "alert", told, fact)


def _event(name: str, resource: str, payload: Payload, fact: Sequence[str]) -> Event:
    slug = name.partition(".")[0]
    assert isinstance(payload, CATALOGUE[name].payload)
    return Event(
        uuid5(_IDS, "\0".join(fact)), name, f"{RESOURCE_PREFIX}.{slug}.{resource}", payload
    )
