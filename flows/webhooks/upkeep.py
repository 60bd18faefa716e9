"""What is done to the inbox by hand or by the clock: deliveries again, old ones gone."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from flows._shared.chosen import chosen
from flows._shared.counted import counted
from flows._shared.errors import PermanentError
from flows._shared.events import DeliveryReceived, delivery_event
from flows.webhooks.sources import BUILT_IN

TAKE_TURN = "lock table webhooks.turns in exclusive mode"
REPLAYED_AT_A_TIME = 1_000

CHOOSE = """
select id
from webhooks.deliveries
where
    source = %(source)s
    and body is not null
    and (%(ids)s::text[] is null or delivery_id = any(%(ids)s))
    and (%(since)s::timestamptz is null or received_at >= %(since)s)
    and (%(until)s::timestamptz is null or received_at < %(until)s)
order by position
"""
# Numbered in their order: `nextval` is called for the rows as the subquery sorts them.
MOVE = """
with moved as materialized (
    select id, nextval('webhooks.positions') as position
    from (
        select id from webhooks.deliveries where id = any(%s) order by position
    ) as in_order
)
update webhooks.deliveries
set position = moved.position, replays = replays + 1
from moved
where deliveries.id = moved.id
returning
    deliveries.id, deliveries.slug, deliveries.delivery_id, deliveries.source, deliveries.kind,
    deliveries.body_bytes, deliveries.received_at, deliveries.attributes, deliveries.replays
"""
TELL = "insert into webhooks.outbox (event_id, event, delivery) values (%s, %s, %s)"

FORGET_BODIES = """
update webhooks.deliveries
set body = null, payload = null
where id in (
    select id from webhooks.deliveries where received_at < %s and body is not null limit %s
)
"""
FORGET_DELIVERIES = """
delete from webhooks.deliveries
where id in (select id from webhooks.deliveries where received_at < %s limit %s)
"""
FORGET_CONFLICTS = """
delete from webhooks.conflicts
where id in (select id from webhooks.conflicts where received_at < %s limit %s)
"""
FORGET_EVENTS = """
delete from webhooks.outbox
where id in (
    select id from webhooks.outbox where delivery is null and stored_at < %s limit %s
)
"""


@dataclass(frozen=True)
class Purged:
    """How many bodies, deliveries and conflicts were removed."""

    bodies: int
    deliveries: int
    conflicts: int


def replay(
    connection: psycopg.Connection,
    source: str,
    ids: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Put deliveries at the end of the inbox and tell of them anew; how many they were.

    Readers find them again, in the order in which they once came; there is still one row of each.

    Args:
        connection: in autocommit mode.
        ids: of the deliveries; all of the time range if empty.
        since, until: when they were received, the end not included.

    Raises:
        PermanentError: neither ids nor the beginning of a time range is given, or an id has no
            delivery with a body, or there is no such source or no inbox. Nothing is replayed then.
    """
    if not ids and since is None:
        raise PermanentError(
            "replaying deliveries",
            "neither ids nor the beginning of a time range is given",
            "Name delivery ids, or a time to begin with",
        )
    _expect_inbox(connection, f"replaying deliveries of {source}")
    source = _known_source(connection, source)
    wanted = {"source": source, "ids": list(ids) or None, "since": since, "until": until}
    chosen = [number for (number,) in connection.execute(CHOOSE, wanted).fetchall()]
    if len(chosen) < len(set(ids)):
        raise PermanentError(
            f"replaying {counted(len(set(ids)), 'delivery', 'deliveries')} of {source}",
            f"only {len(chosen)} of them are in the inbox with their body",
            "Look into webhooks.deliveries; bodies go after `body_days`",
        )
    for batch in _batches(chosen):
        with connection.transaction():
            connection.execute(TAKE_TURN)
            moved = connection.execute(MOVE, (batch,)).fetchall()
            _tell(connection, sorted(moved, key=lambda row: batch.index(row[0])))
    return len(chosen)


def _known_source(connection: psycopg.Connection, source: str) -> str:
    """Receivers may serve sources of their own, which are known by what they sent."""
    has_sent = "select exists (select from webhooks.deliveries where source = %s)"
    built_in = {each.name for each in BUILT_IN}
    if source in built_in or connection.execute(has_sent, (source,)).fetchone() == (True,):
        return source
    senders = connection.execute("select distinct source from webhooks.deliveries").fetchall()
    known = sorted(built_in | {name for (name,) in senders})
    return chosen([source], known, "replaying deliveries of the source")[0]


def _expect_inbox(connection: psycopg.Connection, attempted: str) -> None:
    if connection.execute("select to_regclass('webhooks.deliveries')").fetchone() == (None,):
        raise PermanentError(
            attempted,
            f"there is no inbox in the database {connection.info.dbname}",
            "Name the block of the receiver's database, or start the receiver, which makes the "
            "inbox",
        )


def _tell(connection: psycopg.Connection, moved: Sequence[tuple[Any, ...]]) -> None:
    told = []
    for number, slug, delivery_id, source, kind, length, received_at, attributes, replays in moved:
        if not isinstance(slug, str):
            continue
        fact = DeliveryReceived.model_validate(
            {
                "delivery_id": delivery_id,
                "source": source,
                "kind": kind,
                "bytes": length,
                "received_at": received_at,
                "attributes": attributes,
            }
        )
        event = delivery_event(slug, fact, int(str(replays)))
        told.append((event.id, json.dumps(event.as_json()), number))
    with connection.cursor() as cursor:
        cursor.executemany(TELL, told)


def _batches(chosen: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(chosen), REPLAYED_AT_A_TIME):
        yield list(chosen[start : start + REPLAYED_AT_A_TIME])


def purge(
    connection: psycopg.Connection,
    now: datetime,
    body_days: float,
    delivery_days: float,
    batch_rows: int,
) -> Purged:
    """Remove what is old, a batch to a transaction.

    Conflicts, and events of conflicts, go with the bodies of their age.

    Args:
        connection: in autocommit mode.
        body_days, delivery_days: older bodies, older rows go.

    Raises:
        PermanentError: there is no inbox.
    """
    _expect_inbox(connection, "removing what is old from the inbox")
    old = now - timedelta(days=body_days)
    very_old = now - timedelta(days=delivery_days)
    deliveries = _repeat(connection, FORGET_DELIVERIES, very_old, batch_rows)
    bodies = _repeat(connection, FORGET_BODIES, old, batch_rows)
    conflicts = _repeat(connection, FORGET_CONFLICTS, old, batch_rows)
    _repeat(connection, FORGET_EVENTS, old, batch_rows)
    return Purged(bodies, deliveries, conflicts)


def _repeat(
    connection: psycopg.Connection, statement: str, before: datetime, batch_rows: int
) -> int:
    total = 0
    while True:
        count = connection.execute(statement.encode(), (before, batch_rows)).rowcount
        total += count
        if count < batch_rows:
            return total
