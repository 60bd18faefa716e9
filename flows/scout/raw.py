"""Writes this domain's raw tables: a file goes in as a whole, once, in one transaction."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from flows._shared.inbox import Delivery, Position
from flows.scout.records import (
    DeliveryCounts,
    Entity,
    FileCounts,
    FileFacts,
    LayerMissingError,
    Payload,
    QualityMeasures,
    QualityScore,
    Quarantined,
    Row,
    TextToEmbed,
)
from flows.scout.rules import entity_of_kind, hash_text

SCHEMA_LOCK = 7_310_020
BUILD_LOCK = 7_310_022
ROWS_PER_COPY = 20_000
ROWS_PER_WRITE = 500
DELIVERIES_PER_LOAD = 2_000
BYTES_OF_DELIVERIES = 16 << 20

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
    middle = _middle(*common)
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
                if isinstance(row, Quarantined):
                    quarantined.append(row)
                    continue
                lines.append(_line(row, middle, end))
                loaded += 1
                if len(lines) >= ROWS_PER_WRITE:
                    copy.write(b"".join(lines))
                    lines.clear()
            copy.write(b"".join(lines))
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
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return plain.replace("\0", "\\x00")


def load_deliveries(
    connection: psycopg.Connection,
    batch: str,
    now: datetime,
    read: Callable[[Position | None], Iterable[tuple[Delivery, Iterable[Row]]]],
) -> DeliveryCounts:
    """Load the next deliveries and keep the position behind them, in one transaction.

    Of several loads at a time each waits for the one before it, and reads on from there.

    Args:
        read: gives the deliveries behind a position, with their rows.

    Returns:
        What was loaded; no deliveries at all when none are left.
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
            if size > BYTES_OF_DELIVERIES or deliveries == DELIVERIES_PER_LOAD:
                break
        counts = DeliveryCounts(
            deliveries,
            len(lines[Entity.TRANSACTION]),
            len(lines[Entity.PRODUCT]),
            len(quarantined),
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


def drive_page_token(connection: psycopg.Connection, folder_id: str) -> str | None:
    """Up to where a Drive folder was loaded, None if it never was."""
    row = connection.execute(
        "select page_token from scout.drive_folders where folder_id = %s", (folder_id,)
    ).fetchone()
    return str(row[0]) if row else None


def save_drive_page_token(
    connection: psycopg.Connection, folder_id: str, page_token: str, now: datetime
) -> None:
    connection.execute(
        """
        insert into scout.drive_folders (folder_id, page_token, updated_at) values (%s, %s, %s)
        on conflict (folder_id) do update
        set page_token = excluded.page_token, updated_at = excluded.updated_at
        """,
        (folder_id, page_token, now),
    )


def prepare_vectors(connection: psycopg.Connection, dimension: int, model: str) -> None:
    """Index and search functions for vectors of one dimension; vectors of other models go.

    Raises:
        LayerMissingError: platinum was not built yet.
    """
    built = connection.execute("select to_regclass('platinum.platinum_transaction_embeddings')")
    if built.fetchone() == (None,):
        raise LayerMissingError(
            "Preparing the search of transactions",
            "platinum.platinum_transaction_embeddings does not exist",
            "Build the layers first: prefect deployment run 'scout/scout-on-demand'",
        )
    statements = files("flows.scout").joinpath("vectors.sql").read_text()
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        others = connection.execute(
            "select 1 from platinum.transaction_embedding_vectors "
            "where model <> %s or vector_dims(embedding) <> %s limit 1",
            (model, dimension),
        )
        if others.fetchone():
            # Deleted rows would still be looked at by the index that is made below.
            connection.execute("truncate platinum.transaction_embedding_vectors")
        for (stale,) in connection.execute(
            """
            select indexname from pg_indexes
            where
                schemaname = 'platinum'
                and indexname like 'transaction_embedding_vectors_hnsw_%%'
                and indexname <> %s
            """,
            (f"transaction_embedding_vectors_hnsw_{dimension}",),
        ).fetchall():
            connection.execute(sql.SQL("drop index platinum.{}").format(sql.Identifier(stale)))
        connection.execute(statements.replace("{dimension}", str(dimension)).encode())


def texts_to_embed(
    connection: psycopg.Connection, after: UUID | None, limit: int
) -> list[TextToEmbed]:
    """Texts without a vector of their own, in order of their ids, from behind one of them."""
    rows = connection.execute(
        """
        select id, text from platinum.platinum_transaction_embeddings
        where embedding is null and (%(after)s::uuid is null or id > %(after)s)
        order by id
        limit %(limit)s
        """,
        {"after": after, "limit": limit},
    ).fetchall()
    return [TextToEmbed(*row) for row in rows]


def count_texts_to_embed(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select count(*) from platinum.platinum_transaction_embeddings where embedding is null"
    ).fetchone()
    assert row is not None
    return int(row[0])


def save_vectors(
    connection: psycopg.Connection,
    texts: Sequence[TextToEmbed],
    vectors: Sequence[Sequence[float]],
    model: str,
    embedded_at: datetime,
) -> None:
    """Write one batch in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into platinum.transaction_embedding_vectors as standing (
                id, text_hash, model, embedding, embedded_at
            ) values (%s, %s, %s, %s, %s)
            on conflict (id) do update
            set
                text_hash = excluded.text_hash,
                model = excluded.model,
                embedding = excluded.embedding,
                embedded_at = excluded.embedded_at
            """,
            [
                (each.id, hash_text(each.text), model, str(list(vector)), embedded_at)
                for each, vector in zip(texts, vectors, strict=True)
            ],
        )


def drop_vectors_out_of_window(connection: psycopg.Connection) -> int:
    """Remove vectors of transactions that platinum shows no more; how many they were."""
    return connection.execute(
        """
        delete from platinum.transaction_embedding_vectors as stored
        where
            not exists (
                select 1 from platinum.platinum_transaction_embeddings as shown
                where shown.id = stored.id
            )
        """
    ).rowcount


@dataclass(frozen=True)
class _Scored:
    """A table that is scored: its key, its critical fields and when its newest row came.

    ``recent`` are the rows that came since a moment, found by an index.
    """

    table: str
    key: str
    critical: tuple[str, ...]
    moment: str
    recent: str = "true"


BRONZE = "bronze.bronze_transactions"
SCORED = (
    _Scored(
        BRONZE,
        "raw_id",
        tuple(
            f"nullif(btrim(raw_data ->> '{key}'), '')"
            for key in ("transaction_id", "date", "amount", "vendor_id")
        ),
        "ingested_at",
        "ingested_at >= %(since)s",
    ),
    _Scored(
        "silver.silver_validated_transactions",
        "transaction_id",
        ("category", "vendor_name", "tax_code", "employee_id", "cost_center"),
        "ingested_at",
        "raw_id >= ("
        "select min(raw_id) from bronze.bronze_transactions where ingested_at >= %(since)s)",
    ),
    _Scored("silver.silver_products", "sku", ("category", "brand", "barcode"), "ingested_at"),
    _Scored(
        "gold.gold_monthly_summary",
        "(month, category, currency)",
        ("total_amount", "median_amount"),
        "calculated_at",
    ),
    _Scored(
        "gold.gold_category_trends",
        "(week, category, currency)",
        ("total_amount", "ma_4week"),
        "calculated_at",
    ),
)


def measure_quality(
    connection: psycopg.Connection, now: datetime, window: timedelta
) -> list[QualityMeasures]:
    """What every table that is there holds; of bronze and silver, what came in lately.

    Args:
        window: how long before the newest payload of bronze lately begins.
    """
    measures: list[QualityMeasures] = []
    since = None
    for each in SCORED:
        if connection.execute("select to_regclass(%s)", (each.table,)).fetchone() == (None,):
            continue
        if each.table == BRONZE:
            (newest,) = _only_row(
                connection, "select max(ingested_at) from bronze.bronze_transactions"
            )
            since = newest - window if newest else None
        filled = " + ".join(f"count({field})" for field in each.critical)
        rows, completeness, uniqueness, age_hours = _only_row(
            connection,
            f"""
            select
                count(*),
                coalesce(100.0 * ({filled}) / nullif(count(*) * {len(each.critical)}, 0), 100),
                coalesce(100.0 * count(distinct {each.key}) / nullif(count(*), 0), 100),
                extract(epoch from %(now)s::timestamptz - coalesce(
                    max({each.moment}),
                    case when exists (select 1 from {each.table}) then %(since)s::timestamptz end
                )) / 3600
            from {each.table}
            where {each.recent}
            """,  # noqa: S608  nothing but the constants above
            {"now": now, "since": since},
        )
        age = None if age_hours is None else float(age_hours)
        measures.append(
            QualityMeasures(each.table, rows, float(completeness), float(uniqueness), age)
        )
    return measures


def _only_row(
    connection: psycopg.Connection, query: str, values: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row


def record_scores(
    connection: psycopg.Connection, scores: Sequence[QualityScore], measured_at: datetime
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into scout.data_quality_scores (
                table_name, measured_at, row_count, completeness, uniqueness, timeliness, score
            ) values (%s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    *(each.measures.table, measured_at, each.measures.rows),
                    *(each.measures.completeness, each.measures.uniqueness),
                    *(each.timeliness, each.score),
                )
                for each in scores
            ],
        )
