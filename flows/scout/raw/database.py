"""The raw tables themselves, and one build of the layers at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import psycopg

SCHEMA_LOCK = 7_310_020
BUILD_LOCK = 7_310_022


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
