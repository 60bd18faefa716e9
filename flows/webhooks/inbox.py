"""Writes the inbox: deliveries, conflicts, and the outbox of events that tell of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from importlib.resources import files

import psycopg

from flows._shared.events import (
    DeliveryConflict,
    DeliveryReceived,
    Event,
    Scalar,
    conflict_event,
    delivery_event,
)
from flows._shared.raw_tables import RawTables, ensure_raw_tables

SCHEMA_LOCK = 7_310_070

# One statement, hence one round trip and one commit for a whole batch.
STORE = """
with given as (
    select *
    from unnest(
        %(sources)b::text[], %(delivery_ids)b::text[], %(kinds)b::text[], %(slugs)b::text[],
        %(received)b::timestamptz[], %(content_types)b::text[], %(headers)b::text[],
        %(attributes)b::text[], %(bodies)b::bytea[], %(hashes)b::bytea[], %(are_json)b::bool[],
        %(payloads)b::text[], %(event_ids)b::uuid[], %(events)b::text[]
    ) with ordinality as given (
        source, delivery_id, kind, slug, received_at, content_type, headers,
        attributes, body, body_sha256, is_json, payload, event_id, event, number
    )
), inserted as (
    insert into webhooks.deliveries (
        source, delivery_id, kind, slug, received_at, content_type, headers,
        attributes, body, body_bytes, body_sha256, payload
    )
    select
        source, delivery_id, kind, slug, received_at, content_type, cast(headers as jsonb),
        cast(attributes as jsonb), body, length(body), body_sha256,
        cast(case when is_json then convert_from(body, 'UTF8') else payload end as jsonb)
    from given
    order by number
    on conflict (source, delivery_id) do nothing
    returning id, source, delivery_id
), told as (
    insert into webhooks.outbox (event_id, event, delivery)
    select given.event_id, cast(given.event as jsonb), inserted.id
    from inserted
    inner join given using (source, delivery_id)
    where given.event is not null
    order by inserted.id
)
select source, delivery_id from inserted
"""

KNOWN = """
select source, delivery_id, body_sha256
from webhooks.deliveries
where (source, delivery_id) in (select * from unnest(%s::text[], %s::text[]))
"""

KEEP_CONFLICT = """
with kept as (
    insert into webhooks.conflicts (
        source, delivery_id, kind, slug, received_at, content_type, headers, body, body_sha256
    )
    values (%s, %s, %s, %s, %s, %s, %s, %b, %b)
    on conflict (source, delivery_id, body_sha256) do nothing
    returning id
)
insert into webhooks.outbox (event_id, event)
select cast(%s as uuid), cast(%s as jsonb)
from kept
where cast(%s as jsonb) is not null
"""


@dataclass(frozen=True)
class NewDelivery:
    """A delivery whose sender is known, about to be stored.

    Args:
        source, kind: as readers ask for them.
        delivery_id: the sender's own; what comes again under it is a duplicate.
        slug: of the domain that is told by an event; None tells nobody.
        headers: those that are kept.
        attributes: references out of the body, for the event.
        body: as it was signed.
        payload: the body as JSON text without NUL, None if it is not JSON.
    """

    source: str
    kind: str
    delivery_id: str
    slug: str | None
    received_at: datetime
    content_type: str
    body: bytes
    payload: str | None = None
    headers: Mapping[str, str] | None = None
    attributes: Mapping[str, Scalar] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.delivery_id

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.body).digest()

    @property
    def event(self) -> Event | None:
        if self.slug is None:
            return None
        told = DeliveryReceived(
            delivery_id=self.delivery_id,
            source=self.source,
            kind=self.kind,
            bytes=len(self.body),
            received_at=self.received_at,
            attributes=self.attributes or {},
        )
        return delivery_event(self.slug, told)

    @property
    def conflict(self) -> Event | None:
        if self.slug is None:
            return None
        told = DeliveryConflict(
            delivery_id=self.delivery_id,
            source=self.source,
            kind=self.kind,
            bytes=len(self.body),
            received_at=self.received_at,
        )
        return conflict_event(self.slug, told, self.sha256.hex())


class Outcome(Enum):
    """What became of a delivery."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


def prepare_inbox(connection: psycopg.Connection) -> None:
    """Create the schema ``webhooks`` and its tables unless they exist.

    Raises:
        RawTablesLockedError: another session holds one of them; who calls tries again later.
    """
    statements = files("flows.webhooks").joinpath("schema.sql").read_text(encoding="utf-8")
    tables = RawTables("the webhook inbox", "webhooks", SCHEMA_LOCK, statements)
    # Senders wait for the receiver, which comes again by itself.
    ensure_raw_tables(connection, tables, pauses=())


def store(connection: psycopg.Connection, deliveries: Sequence[NewDelivery]) -> list[Outcome]:
    """Commit deliveries and their events; all of them are durable when this returns.

    Args:
        connection: in autocommit mode, so that each step is a transaction of its own.

    Returns:
        One outcome for each delivery, in their order.

    Raises:
        psycopg.Error: nothing is known of what was stored; storing again is safe.
    """
    assert connection.autocommit
    first: dict[tuple[str, str], NewDelivery] = {}
    for each in deliveries:
        first.setdefault(each.key, each)
    inserted = _insert(connection, list(first.values()))
    rest = [each for each in deliveries if first[each.key] is not each or each.key not in inserted]
    known = _hashes(connection, rest) if rest else {}
    outcomes = {}
    for each in rest:
        is_same = known.get(each.key) == each.sha256
        outcomes[id(each)] = Outcome.DUPLICATE if is_same else Outcome.CONFLICT
        if not is_same:
            _keep_conflict(connection, each)
    return [outcomes.get(id(each), Outcome.STORED) for each in deliveries]


def _insert(
    connection: psycopg.Connection, deliveries: Sequence[NewDelivery]
) -> set[tuple[str, str]]:
    try:
        return _insert_at_once(connection, deliveries)
    except (psycopg.DataError, psycopg.errors.StatementTooComplex):
        # JSON that PostgreSQL cannot hold, such as a number of a million digits: the body is kept.
        if len(deliveries) == 1:
            return _insert_at_once(connection, [replace(deliveries[0], payload=None)])
    return {key for each in deliveries for key in _insert(connection, [each])}


def _insert_at_once(
    connection: psycopg.Connection, deliveries: Sequence[NewDelivery]
) -> set[tuple[str, str]]:
    events = [each.event for each in deliveries]
    # The bytes are sent once where they are the JSON that is kept.
    are_json = [
        each.payload is not None and each.payload.encode() == each.body for each in deliveries
    ]
    rows = connection.execute(
        STORE,
        {
            "sources": [each.source for each in deliveries],
            "delivery_ids": [each.delivery_id for each in deliveries],
            "kinds": [each.kind for each in deliveries],
            "slugs": [each.slug for each in deliveries],
            "received": [each.received_at for each in deliveries],
            "content_types": [each.content_type for each in deliveries],
            "headers": [json.dumps(dict(each.headers or {})) for each in deliveries],
            "attributes": [json.dumps(dict(each.attributes or {})) for each in deliveries],
            "bodies": [each.body for each in deliveries],
            "hashes": [each.sha256 for each in deliveries],
            "are_json": are_json,
            "payloads": [
                None if is_json else each.payload
                for each, is_json in zip(deliveries, are_json, strict=True)
            ],
            "event_ids": [event.id if event else None for event in events],
            "events": [_json(event) for event in events],
        },
    ).fetchall()
    return {(source, delivery_id) for source, delivery_id in rows}


def _hashes(
    connection: psycopg.Connection, deliveries: Sequence[NewDelivery]
) -> dict[tuple[str, str], bytes]:
    keys = [each.key for each in deliveries]
    rows = connection.execute(KNOWN, ([key[0] for key in keys], [key[1] for key in keys]))
    return {(source, delivery_id): digest for source, delivery_id, digest in rows.fetchall()}


def _keep_conflict(connection: psycopg.Connection, each: NewDelivery) -> None:
    event = each.conflict
    connection.execute(
        KEEP_CONFLICT,
        (
            *(each.source, each.delivery_id, each.kind, each.slug, each.received_at),
            *(each.content_type, json.dumps(dict(each.headers or {})), each.body, each.sha256),
            *(event.id if event else None, _json(event), _json(event)),
        ),
    )


def _json(event: Event | None) -> str | None:
    return json.dumps(event.as_json()) if event else None
