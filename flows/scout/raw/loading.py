"""Files and deliveries into the raw tables: a file as a whole, in one transaction, once for each
time that its content is new."""

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum
from itertools import islice

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from flows._shared.counted import counted
from flows._shared.inbox import Delivery, Position
from flows.scout.records import (
    FAILED_MEMBER,
    DeliveredRow,
    DeliveryCounts,
    Entity,
    FileCounts,
    FileFacts,
    Payload,
    Quarantined,
    Row,
    Within,
)
from flows.scout.rules import entity_of_kind

ROWS_PER_COPY = 20_000
ROWS_PER_WRITE = 500
REMARKS_TOLD = 20
REASONS_TOLD = 3
MEMBERS_TOLD = 20
DELIVERIES_PER_LOAD = 2_000
BYTES_OF_DELIVERIES = 16 << 20

TABLES = {
    Entity.TRANSACTION: "raw_transaction_ingestion",
    Entity.PRODUCT: "raw_product_ingestion",
}

_ESCAPED_BYTE = re.compile("[\ud800-\udfff]")

COPY = """
copy scout.{table} (
    raw_data, source, source_filename, ingested_at, ingestion_batch_id, content_hash, file_id,
    line_number
) from stdin
"""

Told = Callable[[int], None]


def load_file(
    connection: psycopg.Connection,
    entity: Entity,
    name: str,
    source: str,
    facts: FileFacts,
    batch: str,
    ingested_at: datetime,
    read: Callable[[], Iterable[Row]],
    told: Told = lambda rows: None,
    place: str = "",
) -> FileCounts:
    """Load one file unless its content was loaded before, from whatever place.

    A file that held something else since is loaded again: what it returns to is its newest content.

    Args:
        read: gives the rows; called only when the content is new.
        told: hears how many rows were read so far.
        place: of the file; one for all files of that name where it is empty.
    """
    with connection.transaction():
        # A second run with the same content waits here for the first to end.
        connection.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 0))",
            (f"scout.raw_files {entity.value} {facts.sha256}",),
        )
        standing = _standing(connection, entity, name, place, facts.sha256)
        if standing is Standing.SEEN:
            return _counts_of_known(connection, entity, name, facts.sha256)
        registered = connection.execute(
            """
            insert into scout.raw_files (
                entity, source, source_filename, content_sha256, encoding, bytes_read,
                ingestion_batch_id, ingested_at, place, is_copy
            ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            returning id
            """,
            (
                *(entity.value, source, name, facts.sha256, facts.encoding, facts.bytes_read),
                *(batch, ingested_at, place, standing is Standing.COPY),
            ),
        ).fetchone()
        assert registered is not None
        if standing is Standing.COPY:
            return _counts_of_known(connection, entity, name, facts.sha256)
        file_id = int(registered[0])
        remarks: list[str] = []

        def middle(of: str) -> bytes:
            return _middle(source, of, ingested_at.isoformat(), batch)

        loaded, aside = _load_rows(connection, entity, file_id, name, middle, read(), remarks, told)
        connection.execute(
            """
            update scout.raw_files
            set rows_read = %s, rows_loaded = %s, rows_quarantined = %s
            where id = %s
            """,
            (loaded + aside, loaded, aside, file_id),
        )
        failure = _failure(connection, file_id)
    return FileCounts(name, entity, True, loaded + aside, loaded, aside, tuple(remarks), failure)


class Standing(Enum):
    """What is known of the content of a file."""

    NEW = "never loaded, or not since the file held something else"
    COPY = "loaded from another place, which is to be remembered of this one"
    SEEN = "the newest that is known of this file"


# What lacks a place was loaded by former versions, which remembered the name alone.
STANDING = """
with here as (
    select id, content_sha256
    from scout.raw_files
    where
        entity = %(entity)s
        and source_filename = %(name)s
        and (place = %(place)s or place is null)
)

select
    (select content_sha256 = %(sha256)s from here order by id desc limit 1),
    (
        select max(id) from scout.raw_files
        where entity = %(entity)s and content_sha256 = %(sha256)s and not is_copy
    ),
    (select max(id) from here where content_sha256 <> %(sha256)s)
"""


def _standing(
    connection: psycopg.Connection, entity: Entity, name: str, place: str, sha256: str
) -> Standing:
    row = connection.execute(
        STANDING, {"entity": entity.value, "name": name, "place": place, "sha256": sha256}
    ).fetchone()
    assert row is not None
    is_newest_here, loaded, other_here = row
    if is_newest_here:
        return Standing.SEEN
    if loaded is None or (other_here or 0) > loaded:
        return Standing.NEW
    return Standing.COPY


def _counts_of_known(
    connection: psycopg.Connection, entity: Entity, name: str, sha256: str
) -> FileCounts:
    """Of a file whose content was looked at before: it fails as often as it is sent."""
    row = connection.execute(
        """
        select id from scout.raw_files
        where entity = %s and content_sha256 = %s and not is_copy
        order by id desc
        limit 1
        """,
        (entity.value, sha256),
    ).fetchone()
    failure = _failure(connection, row[0]) if row else None
    return FileCounts(name, entity, is_new=False, failure=failure)


def _failure(connection: psycopg.Connection, file_id: int) -> str | None:
    """Why nothing of a file was loaded, or of some that lie in it; None where neither is so."""
    row = connection.execute(
        """
        select
            rows_loaded = 0 and rows_quarantined > 0,
            (
                select array_agg(raw_text || ': ' || detail order by id)
                from scout.raw_ingestion_quarantine
                where file_id = raw_files.id and reason = %s
            )
        from scout.raw_files
        where id = %s
        """,
        (FAILED_MEMBER, file_id),
    ).fetchone()
    assert row is not None
    is_nothing_loaded, members = row
    told = [_why_nothing_loaded(connection, file_id)] if is_nothing_loaded else []
    told += (members or [])[:MEMBERS_TOLD]
    if members and len(members) > MEMBERS_TOLD:
        told.append(f"and {counted(len(members) - MEMBERS_TOLD, 'more file')} in it")
    return "; ".join(told) or None


def _why_nothing_loaded(connection: psycopg.Connection, file_id: int) -> str:
    reasons = connection.execute(
        """
        select reason, count(*), min(line_number) from scout.raw_ingestion_quarantine
        where file_id = %s group by 1 order by 2 desc, 1 limit %s
        """,
        (file_id, REASONS_TOLD),
    ).fetchall()
    told = ", ".join(f"{reason} ({rows:,}, first in line {line})" for reason, rows, line in reasons)
    return f"no row of it can be loaded: {told}; they are in scout.raw_ingestion_quarantine"


def _load_rows(
    connection: psycopg.Connection,
    entity: Entity,
    file_id: int,
    name: str,
    middle_of: Callable[[str], bytes],
    rows: Iterable[Row],
    remarks: list[str],
    told: Told,
) -> tuple[int, int]:
    middle = middle_of(name)
    end = f"\t{file_id}\t".encode()
    statement = sql.SQL(COPY).format(table=sql.Identifier(TABLES[entity]))
    remaining = iter(rows)
    loaded = aside = 0
    is_exhausted = False
    while not is_exhausted:
        quarantined: list[Quarantined] = []
        lines: list[bytes] = []
        is_exhausted = True
        with connection.cursor().copy(statement) as copy:
            for row in islice(remaining, ROWS_PER_COPY):
                is_exhausted = False
                if isinstance(row, Payload):
                    lines.append(_line(row, middle, end))
                    if len(lines) >= ROWS_PER_WRITE:
                        copy.write(b"".join(lines))
                        loaded += len(lines)
                        lines.clear()
                elif isinstance(row, Quarantined):
                    quarantined.append(row)
                elif isinstance(row, Within):
                    middle = middle_of(row.name)
                elif len(remarks) < REMARKS_TOLD:
                    remarks.append(row.text)
            copy.write(b"".join(lines))
            loaded += len(lines)
        _set_aside(connection, ((file_id, row) for row in quarantined))
        aside += len(quarantined)
        told(loaded + aside)
    return loaded, aside


def _middle(source: str, name: str, ingested_at: str, batch: str) -> bytes:
    return ("\t" + "\t".join(map(_escape, (source, name, ingested_at, batch))) + "\t").encode()


def _line(payload: Payload, middle: bytes, end: bytes) -> bytes:
    """A row as COPY's text format wants it."""
    line_number, text = payload
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
    escaped = text.replace(b"\\", b"\\\\")
    return b"".join((escaped, middle, digest, end, str(line_number).encode(), b"\n"))


def _escape(text: str) -> str:
    plain = text.replace("\\", "\\\\")
    return plain.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _set_aside(
    connection: psycopg.Connection, quarantined: Iterable[tuple[int | str, Quarantined]]
) -> None:
    """Keep rows with the id of their file, or that of their delivery, which is text."""
    statement = (
        "copy scout.raw_ingestion_quarantine "
        "(file_id, delivery_id, line_number, reason, detail, raw_text) from stdin"
    )
    with connection.cursor().copy(statement) as copy:
        for place, row in quarantined:
            ids = (None, _storable(place)) if isinstance(place, str) else (place, None)
            shown = (_storable(row.detail), _storable(row.text))
            copy.write_row((*ids, row.line_number, row.reason, *shown))


def _storable(text: str) -> str:
    """NUL and undecodable bytes as ``\\xNN``, which a text column can hold."""
    plain = _ESCAPED_BYTE.sub(lambda byte: f"\\x{ord(byte[0]) & 0xFF:02x}", text)
    return plain.replace("\0", "\\x00")


def load_deliveries(
    connection: psycopg.Connection,
    batch: str,
    now: datetime,
    read: Callable[[Position | None], Iterable[tuple[Delivery, Iterable[DeliveredRow]]]],
) -> DeliveryCounts:
    """Load the next deliveries and keep the position behind them, in one transaction.

    Of several loads at a time each waits for the one before it, and reads on from there.

    Args:
        read: gives the deliveries behind a position, with their rows.

    Returns:
        What was loaded, and whether it stopped before the last delivery.
    """
    with connection.transaction():
        standing = connection.execute(
            "select position from scout.inbox_progress for update"
        ).fetchone()
        assert standing is not None
        position = Position.from_json(standing[0]) if standing[0] else None
        lines: dict[Entity, list[bytes]] = {entity: [] for entity in TABLES}
        quarantined: list[tuple[int | str, Quarantined]] = []
        deliveries = size = 0
        are_more = False
        for delivery, rows in read(position):
            entity = entity_of_kind(delivery.kind)
            at = delivery.received_at.isoformat()
            middle = _middle("webhook", _storable(delivery.delivery_id), at, batch)
            for row in rows:
                if isinstance(row, Quarantined):
                    quarantined.append((delivery.delivery_id, row))
                else:
                    lines[entity].append(_line(row, middle, b"\t\\N\t"))
            position = delivery.position
            deliveries += 1
            size += len(delivery.body)
            are_more = size > BYTES_OF_DELIVERIES or deliveries == DELIVERIES_PER_LOAD
            if are_more:
                break
        counts = DeliveryCounts(
            deliveries,
            len(lines[Entity.TRANSACTION]),
            len(lines[Entity.PRODUCT]),
            len(quarantined),
            are_more,
        )
        if position is None or not deliveries:
            return counts
        for entity, table in TABLES.items():
            if lines[entity]:
                statement = sql.SQL(COPY).format(table=sql.Identifier(table))
                with connection.cursor().copy(statement) as copy:
                    copy.write(b"".join(lines[entity]))
        _set_aside(connection, quarantined)
        connection.execute(
            """
            update scout.inbox_progress
            set
                position = %s,
                deliveries = deliveries + %s,
                rows_loaded = rows_loaded + %s,
                rows_quarantined = rows_quarantined + %s,
                updated_at = %s
            """,
            (
                *(Jsonb(position.to_json()), counts.deliveries),
                *(counts.rows_loaded, counts.rows_quarantined, now),
            ),
        )
    return counts
