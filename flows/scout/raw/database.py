"""The raw tables themselves, and one build of the layers at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import psycopg

from flows._shared.raw_tables import RawTables, ensure_raw_tables
from flows.scout.records import SchemaRefusedError

SCHEMA_LOCK = 7_310_020


def ensure_schema(connection: psycopg.Connection) -> None:
    """Create the raw tables where they are missing. The connection is in autocommit mode.

    Raises:
        SchemaRefusedError: the role may not, or the server has no pgvector; nothing was changed.
        RawTablesLockedError: another session holds one of them; nothing was changed.
    """
    statements = files("flows.scout").joinpath("schema.sql").read_text(encoding="utf-8")
    try:
        ensure_raw_tables(
            connection, RawTables("Scout's raw tables", "scout", SCHEMA_LOCK, statements)
        )
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.UndefinedFile,
        psycopg.errors.FeatureNotSupported,
    ) as error:
        raise SchemaRefusedError(
            "Creating Scout's raw tables",
            str(error.diag.message_primary),
            "Let a superuser of that database run `create extension vector` once (pgvector must be "
            "installed on the server), and the role create schemas in it",
        ) from error


@contextmanager
def one_build_at_a_time(connection: psycopg.Connection) -> Iterator[None]:
    """Wait for other builds of this database, and keep them waiting.

    The lock belongs to a transaction, so that it also holds behind a pooler which hands out
    connections by transaction. It is one of a table, which roles that only read cannot take.
    """
    ensure_schema(connection)
    with connection.transaction():
        connection.execute("set local idle_in_transaction_session_timeout = 0")
        connection.execute("lock table scout.builds in exclusive mode")
        yield
