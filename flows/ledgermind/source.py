"""Reads LedgerMind's operational database, and never writes to it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pyarrow as pa
from psycopg import sql

from flows.ledgermind.records import Column, ExportedTable, Fingerprint, OperationalDatabaseError

REQUIRED = ("suggestion_events", "suggestion_feedback", "transactions", "model_registry", "tenants")
BIGQUERY_TYPES = {
    "uuid": "STRING",
    "text": "STRING",
    "character varying": "STRING",
    "character": "STRING",
    "json": "STRING",
    "jsonb": "STRING",
    "smallint": "INTEGER",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "real": "FLOAT",
    "double precision": "FLOAT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP",
}
ARROW_TYPES = {
    "STRING": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


def count_operational_rows(connection: psycopg.Connection) -> int:
    """Events and feedback rows that are there.

    Raises:
        OperationalDatabaseError: a table that the models read is missing.
    """
    missing = [
        table
        for table in REQUIRED
        if connection.execute("select to_regclass(%s)", [f"public.{table}"]).fetchone() == (None,)
    ]
    if missing:
        raise OperationalDatabaseError(
            "reading LedgerMind's operational database",
            f"schema public has no {', '.join(missing)}",
            "Point the block at LedgerMind's database, or set `sample_events` to try with a sample",
        )
    counted = connection.execute(
        "select (select count(*) from public.suggestion_events) "
        "+ (select count(*) from public.suggestion_feedback)"
    ).fetchone()
    assert counted is not None
    return int(counted[0])


@contextmanager
def open_snapshot(url: str) -> Iterator[psycopg.Connection]:
    """A read-only transaction that sees the database as it was when it began."""
    with psycopg.connect(url) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("set time zone 'UTC'")
        yield connection


def read_columns(
    connection: psycopg.Connection, table: str, excluded: Collection[str] = ()
) -> tuple[Column, ...]:
    """The columns of a table of schema public and the BigQuery type of each.

    Raises:
        OperationalDatabaseError: the table is missing or a type has no counterpart.
    """
    found = connection.execute(
        "select attname, format_type(atttypid, null), typtype from pg_attribute "
        "join pg_type on pg_type.oid = atttypid "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [f"public.{table}"],
    ).fetchall()
    if not found:
        raise OperationalDatabaseError(
            f"reading the columns of public.{table}",
            "there is no such table",
            "Point the block at LedgerMind's database",
        )
    columns = []
    for name, kind, category in found:
        if name in excluded:
            continue
        known = "STRING" if category == "e" else BIGQUERY_TYPES.get(kind)
        if known is None:
            raise OperationalDatabaseError(
                f"exporting public.{table}.{name}",
                f"no BigQuery type is known for {kind}",
                "Add the column to `excluded_columns`, or its type to source.BIGQUERY_TYPES",
            )
        columns.append(Column(name, known))
    return tuple(columns)


def fingerprint(connection: psycopg.Connection, table: ExportedTable) -> Fingerprint:
    """Count and checksum of the source, to compare with those of the copy."""
    parts = [sql.SQL("coalesce({}::text, '')").format(sql.Identifier(c)) for c in table.compared]
    if table.change:
        micros = sql.SQL("(extract(epoch from {}) * 1000000)::bigint::text")
        parts.append(micros.format(sql.Identifier(table.change)))
    query = sql.SQL(
        "select count(*), coalesce(sum(('x' || substr(md5({}), 1, 8))::bit(32)::bigint), 0) from {}"
    ).format(sql.SQL(" || '|' || ").join(parts), sql.Identifier("public", table.name))
    found = connection.execute(query).fetchone()
    assert found is not None
    return Fingerprint(int(found[0]), int(found[1]))


def fetch_batches(
    connection: psycopg.Connection,
    table: ExportedTable,
    columns: Sequence[Column],
    since: datetime | None,
    rows: int,
) -> Iterator[pa.Table]:
    """The rows changed at or after ``since`` (UTC, None for all) in order of change.

    At most ``rows`` rows are in memory at a time.
    """
    names = [
        sql.SQL("{}::text").format(sql.Identifier(column.name))
        if column.kind == "STRING"
        else sql.Identifier(column.name)
        for column in columns
    ]
    order = [sql.Identifier(name) for name in (table.change, table.key) if name]
    query = sql.SQL("select {} from {} {} order by {}").format(
        sql.SQL(", ").join(names),
        sql.Identifier("public", table.name),
        sql.SQL("where {} >= {}").format(
            sql.Identifier(table.change), sql.Literal(since.replace(tzinfo=None).isoformat())
        )
        if since and table.change
        else sql.SQL(""),
        sql.SQL(", ").join(order),
    )
    schema = pa.schema([(column.name, ARROW_TYPES[column.kind]) for column in columns])
    with connection.cursor(name=f"export_{table.name}") as cursor:
        cursor.execute(query)
        while batch := cursor.fetchmany(rows):
            by_column = list(zip(*batch, strict=True))
            yield pa.table(
                [
                    pa.array(_in_utc(values, column), ARROW_TYPES[column.kind])
                    for values, column in zip(by_column, columns, strict=True)
                ],
                schema=schema,
            )


def fetch_keys(
    connection: psycopg.Connection, table: ExportedTable, column: Column, rows: int
) -> Iterator[pa.Table]:
    """Every key of the source, in batches."""
    whole = ExportedTable(table.name, table.key, None, ())
    return fetch_batches(connection, whole, [column], None, rows)


def _in_utc(values: Sequence[object], column: Column) -> Sequence[object]:
    """LedgerMind's timestamps without a zone are UTC by agreement."""
    if column.kind != "TIMESTAMP":
        return values
    return [
        value.replace(tzinfo=UTC) if isinstance(value, datetime) and not value.tzinfo else value
        for value in values
    ]
