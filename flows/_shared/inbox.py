"""Reading the webhook inbox: what the receiver stored, in the order in which it was stored.

A domain keeps the position it has consumed beside the rows it loaded, in the same transaction of
its own database. Then every delivery is loaded exactly once, whatever is killed and when.

    position = my_position(own)                          # Position.from_json(...) or None
    for delivery in read_deliveries(inbox, "scout", position, kinds=("transactions",)):
        load(own, delivery)
        position = delivery.position
    save_position(own, position)                         # same transaction as load()
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import psycopg

FORM = "application/x-www-form-urlencoded"
BATCH_ROWS = 1_000
BATCH_BYTES = 16 * 1024**2

AHEAD = """
select id, body_bytes
from webhooks.deliveries
where
    source = %(source)s
    and position > %(after)s
    and body is not null
    and (%(kinds)s::text[] is null or kind = any(%(kinds)s))
order by position
"""

DELIVERIES = """
select position, delivery_id, source, kind, received_at, content_type, body, headers
from webhooks.deliveries
where id = any(%s) and body is not null
order by position
"""


@dataclass(frozen=True, order=True)
class Position:
    """A place in the inbox: all up to here is consumed. Opaque; kept as JSON, compared by ``<``.

    Positions become visible in their order: the inbox lets one writer at a time take them, until
    its commit. So nothing ever appears behind a position that a reader has seen.
    """

    number: int

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(int(value["number"]))


@dataclass(frozen=True)
class Delivery:
    """One delivery as it was received.

    Args:
        body: the bytes that were sent, without the compression of the way.
        headers: those that are kept, such as ``x-batch-id``; names in lower case.
    """

    position: Position
    delivery_id: str
    source: str
    kind: str
    received_at: datetime
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def read_deliveries(
    connection: psycopg.Connection,
    source: str,
    after: Position | None,
    kinds: Sequence[str] = (),
) -> Iterator[Delivery]:
    """The deliveries of a source behind a position, oldest first, streamed.

    What arrives while this is read may come too, or with the next reading. A replayed delivery
    comes again, under a new position. An inbox that no receiver has made yet is empty. At most
    16 MiB of bodies, or one body, are in memory at a time.

    Args:
        connection: to the database of the inbox; a transaction stays open while it is read.
        source: such as ``scout``.
        after: the position consumed so far; None for the beginning.
        kinds: such as ``transactions``; all if empty.
    """
    exists = connection.execute("select to_regclass('webhooks.deliveries')").fetchone()
    if exists == (None,):
        return
    wanted = {
        "source": source,
        "after": after.number if after else 0,
        "kinds": list(kinds) or None,
    }
    with connection.transaction(), connection.cursor("webhooks_inbox") as ahead:
        ahead.itersize = BATCH_ROWS
        ahead.execute(AHEAD, wanted)
        for ids in _batches(ahead):
            for row in connection.execute(DELIVERIES, (ids,)).fetchall():
                yield Delivery(Position(row[0]), *row[1:])


def _batches(rows: Iterator[tuple[int, int]]) -> Iterator[list[int]]:
    ids: list[int] = []
    size = 0
    for number, length in rows:
        if ids and (len(ids) == BATCH_ROWS or size + length > BATCH_BYTES):
            yield ids
            ids, size = [], 0
        ids.append(number)
        size += length
    if ids:
        yield ids
