"""Writes this domain's raw tables: a file goes in as a whole, once, in one transaction."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from itertools import islice

import psycopg
from psycopg import sql

from flows.scout.records import Entity, FileCounts, FileFacts, Payload, Quarantined, Row

SCHEMA_LOCK = 7_310_020
BUILD_LOCK = 7_310_022
ROWS_PER_COPY = 20_000
ROWS_PER_WRITE = 500

TABLES = {
    Entity.TRANSACTION: "raw_transaction_ingestion",
    Entity.PRODUCT: "raw_product_ingestion",
}

COPY = """
copy scout.{table} (
    raw_data, source, source_filename, ingested_at, ingestion_batch_id, content_hash, file_id,
    line_number
) from stdin
"""

Told = Callable[[int], None]


def ensure_schema(connection: psycopg.Connection) -> None:
    """Create the raw tables where they are missing."""
    statements = files("flows.scout").joinpath("schema.sql").read_text()
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        connection.execute(statements.encode())


@contextmanager
def one_build_at_a_time(connection: psycopg.Connection) -> Iterator[None]:
    """Wait for other builds of this database, and keep them waiting.

    The lock belongs to a transaction, so that it also holds behind a pooler which hands out
    connections by transaction.
    """
    with connection.transaction():
        connection.execute("set local idle_in_transaction_session_timeout = 0")
        connection.execute("select pg_advisory_xact_lock(%s)", (BUILD_LOCK,))
        yield


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
) -> FileCounts:
    """Load one file unless its content was loaded before, under whatever name.

    Args:
        read: gives the rows; called only when the content is new.
        told: hears how many rows were read so far.
    """
    with connection.transaction():
        # A second run with the same file waits here for the first to end.
        registered = connection.execute(
            """
            insert into scout.raw_files (
                entity, source, source_filename, content_sha256, encoding, bytes_read,
                ingestion_batch_id, ingested_at
            ) values (%s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (entity, content_sha256) do nothing
            returning id
            """,
            (
                *(entity.value, source, name, facts.sha256, facts.encoding, facts.bytes_read),
                *(batch, ingested_at),
            ),
        ).fetchone()
        if registered is None:
            return FileCounts(name, entity, is_new=False)
        file_id = int(registered[0])
        common = (source, name, ingested_at.isoformat(), batch)
        loaded, aside = _load_rows(connection, entity, file_id, common, read(), told)
        connection.execute(
            """
            update scout.raw_files
            set rows_read = %s, rows_loaded = %s, rows_quarantined = %s
            where id = %s
            """,
            (loaded + aside, loaded, aside, file_id),
        )
    return FileCounts(name, entity, True, loaded + aside, loaded, aside)


def _load_rows(
    connection: psycopg.Connection,
    entity: Entity,
    file_id: int,
    common: tuple[str, str, str, str],
    rows: Iterable[Row],
    told: Told,
) -> tuple[int, int]:
    middle = "\t" + "\t".join(map(_escape, common)) + "\t"
    statement = sql.SQL(COPY).format(table=sql.Identifier(TABLES[entity]))
    remaining = iter(rows)
    loaded = aside = 0
    is_exhausted = False
    while not is_exhausted:
        quarantined: list[Quarantined] = []
        lines: list[str] = []
        is_exhausted = True
        with connection.cursor().copy(statement) as copy:
            for row in islice(remaining, ROWS_PER_COPY):
                is_exhausted = False
                if isinstance(row, Quarantined):
                    quarantined.append(row)
                    continue
                lines.append(_line(row, middle, file_id))
                loaded += 1
                if len(lines) >= ROWS_PER_WRITE:
                    copy.write("".join(lines).encode())
                    lines.clear()
            copy.write("".join(lines).encode())
        _set_aside(connection, file_id, quarantined)
        aside += len(quarantined)
        told(loaded + aside)
    return loaded, aside


def _line(payload: Payload, middle: str, file_id: int) -> str:
    text = payload.text
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return f"{_escape(text)}{middle}{digest}\t{file_id}\t{payload.line_number}\n"


def _escape(text: str) -> str:
    """As COPY's text format wants it. Blank space between the parts of a payload may be tabs."""
    text = text.replace("\\", "\\\\")
    if "\n" in text or "\t" in text or "\r" in text:
        return text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text


def _set_aside(
    connection: psycopg.Connection, file_id: int, quarantined: Iterable[Quarantined]
) -> None:
    statement = (
        "copy scout.raw_ingestion_quarantine (file_id, line_number, reason, detail, raw_text) "
        "from stdin"
    )
    with connection.cursor().copy(statement) as copy:
        for row in quarantined:
            shown = (_storable(row.detail), _storable(row.text))
            copy.write_row((file_id, row.line_number, row.reason, *shown))


def _storable(text: str) -> str:
    """NUL and undecodable bytes as ``\\xNN``, which a text column can hold."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return plain.replace("\0", "\\x00")
