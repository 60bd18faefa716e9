"""dbt on PostgreSQL with one connection per thread, where dbt-postgres 1.11 makes one per node.

The backend of a new connection knows nothing of the catalogue and reads it anew. Adapters of other
databases have the same as a setting, `reuse_connections`; this may go once dbt-postgres has it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2  # type: ignore[import-untyped]
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.factory import FACTORY
from dbt.adapters.postgres import PostgresAdapter, PostgresConnectionManager
from psycopg2.extensions import TRANSACTION_STATUS_IDLE  # type: ignore[import-untyped]

from flows._shared.postgres import SETTINGS, set_local

# Not `discard all`: behind a transaction pooler it would take the prepared statements of others.
CLEAN = (
    "set session authorization default; reset all; discard temp; select pg_advisory_unlock_all()"
)
# In the transaction: what a session is set to is cleared.
SETTLE = set_local(SETTINGS)


class OneConnectionPerThread(PostgresConnectionManager):  # type: ignore[misc]
    """Closes its connections at dbt's end only; each node finds nothing of the one before."""

    def add_query(self, *arguments: Any, **options: Any) -> tuple[Connection, Any]:
        """Called for every statement. Defaults of a database or a role alter no value."""
        handle = self.get_thread_connection().handle
        if not handle.autocommit and handle.info.transaction_status == TRANSACTION_STATUS_IDLE:
            with self.exception_handler(SETTLE), handle.cursor() as cursor:
                cursor.execute(SETTLE)
        told: tuple[Connection, Any] = super().add_query(*arguments, **options)
        return told

    def release(self) -> None:
        """Called after each node, whose transaction ends with it."""
        connection = self.get_if_exists()
        # `set role` happens where dbt connects, and would not outlive the cleaning.
        if not _is_open(connection) or connection.credentials.role:
            super().release()
            return
        try:
            connection.handle.rollback()
            connection.transaction_open = False
        except psycopg2.Error:
            super().release()

    def set_connection_name(self, name: str | None = None) -> Connection:
        """Called before each node. A server may have hung up while the thread waited for one."""
        connection = self.get_if_exists()
        if _is_open(connection) and not connection.transaction_open and not _cleaned(connection):
            self.close(connection)
        return super().set_connection_name(name)


def _is_open(connection: Connection | None) -> bool:
    return connection is not None and connection.state == ConnectionState.OPEN


def _cleaned(connection: Connection) -> bool:
    """Clear temporary tables, settings and locks of earlier nodes; False if the server is gone."""
    try:
        connection.handle.autocommit = True
        with connection.handle.cursor() as cursor:
            cursor.execute(CLEAN)
        connection.handle.autocommit = connection.credentials.autocommit
    except psycopg2.Error:
        return False
    return True


def end_statement_of(thread: int) -> None:
    """Cancel what a thread of this process has under way on PostgreSQL, if anything."""
    for adapter in list(FACTORY.adapters.values()):
        if isinstance(adapter, PostgresAdapter):
            connection = adapter.connections.thread_connections.get((os.getpid(), thread))
            if _is_open(connection):
                # A server that is gone works on nothing.
                with suppress(psycopg2.Error):
                    connection.handle.cancel()


@contextmanager
def reused_connections() -> Iterator[None]:
    """While it lasts, dbt on PostgreSQL connects once per thread."""
    before = PostgresAdapter.ConnectionManager
    PostgresAdapter.ConnectionManager = OneConnectionPerThread
    try:
        yield
    finally:
        PostgresAdapter.ConnectionManager = before
