"""The source as it was at one moment, and which of its rows are sent."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.checksums import bucket_in_postgres
from flows._shared.bigquery_export.errors import SourceUnavailableError
from flows._shared.bigquery_export.records import Change, Column, CopiedTable
from flows._shared.postgres import (
    SETTINGS,
    DatabaseUnreachableError,
    open_connection,
    set_local,
)

# Whatever the role or the database has. A row that is hidden would be deleted in the copy, and an
# export is as long as its table.
SESSION = SETTINGS | {
    "row_security": "off",
    "client_encoding": "UTF8",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
SINCE_17 = {"transaction_timeout": "0"}


@contextmanager
def open_snapshot(url: str) -> Iterator[psycopg.Connection]:
    """A read-only transaction that sees the database as it was when it began, all rows of it:
    where row-level security would keep some back, PostgreSQL raises instead.

    Raises:
        SourceUnavailableError: PostgreSQL does not answer.
        DatabaseRefusedError: it does not let us in.
    """
    try:
        opened = open_connection(url, "the source of an export", autocommit=False)
    except DatabaseUnreachableError as error:
        raise SourceUnavailableError(error.attempted, error.seen, error.remedy) from error
    with opened as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        settings = SESSION | (SINCE_17 if connection.info.server_version >= 170_000 else {})
        connection.execute(set_local(settings).encode())
        yield connection


def changed_since(change: str, newest: Change | None, lookback: timedelta) -> sql.Composable:
    match newest:
        case None:
            return sql.SQL("true")
        case datetime():
            instant = newest.astimezone(UTC).replace(tzinfo=None)
            since: object = (instant - min(lookback, instant - datetime.min)).isoformat()
        case date():
            since = (newest - min(lookback, newest - date.min)).isoformat()
        case _:
            since = newest
    return sql.SQL("{} >= {}").format(sql.Identifier(change), sql.Literal(since))


def in_buckets(
    table: CopiedTable, columns: Sequence[Column], buckets: Collection[str]
) -> sql.Composable:
    wanted = sql.SQL(", ").join(sql.Literal(bucket) for bucket in sorted(buckets))
    return sql.SQL("{} in ({})").format(bucket_in_postgres(table, columns), wanted)
