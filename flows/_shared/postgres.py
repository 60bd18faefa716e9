"""The one door to PostgreSQL: every connection of flows and of the receiver is opened here.

    DatabaseUnreachableError  it does not answer, or broke off: another try may help
    DatabaseRefusedError      it answers and does not let us in, or the address is no address

A connection is safe behind a pooler that hands out servers by transaction: statements are never
prepared. It says whose it is (`application_name`), unless the address does.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from flows._shared.errors import PermanentError, TransientError

APPLICATION = "analytics-flows"
READ_ONLY = "-c default_transaction_read_only=on"
CONNECT_SECONDS = 10
CANCEL_SECONDS = 2
# libpq tells a refusal in words only; no retry mends one.
REFUSED = re.compile(
    "authentication failed|does not exist|no password supplied|no pg_hba.conf entry"
    "|is not permitted to log in|permission denied|does not support SSL|certificate",
    re.IGNORECASE,
)


class DatabaseUnreachableError(TransientError):
    """PostgreSQL does not answer, or the connection broke off."""


class DatabaseRefusedError(PermanentError):
    """PostgreSQL does not let this user in, or the address is none."""


def open_connection(
    url: str,
    what: str,
    *,
    autocommit: bool = True,
    options: str | None = None,
    application: str = APPLICATION,
    connect_seconds: int = CONNECT_SECONDS,
    silence_milliseconds: int | None = None,
) -> psycopg.Connection:
    """A connection that the caller closes.

    Args:
        url: a libpq URL; its password is never repeated.
        what: the database in the words of an error, such as ``the webhook inbox``.
        autocommit: each statement that is in no transaction is one.
        options: settings of the session, such as ``READ_ONLY``.
        application: the name that `pg_stat_activity` shows.
        connect_seconds: how long a server may take to let us in, unless the address says.
        silence_milliseconds: how long sent bytes may stay without an answer; None for libpq's.

    Raises:
        DatabaseUnreachableError: no connection.
        DatabaseRefusedError: no retry mends it.
    """
    attempted = f"Connecting to {what}"
    try:
        given = conninfo_to_dict(url)
        return psycopg.connect(
            url,
            autocommit=autocommit,
            prepare_threshold=None,
            options=" ".join(filter(None, [_text(given.get("options")), options])) or None,
            application_name=_text(given.get("application_name")) or application,
            connect_timeout=given.get("connect_timeout") or connect_seconds,
            tcp_user_timeout=silence_milliseconds or given.get("tcp_user_timeout"),
        )
    except psycopg.OperationalError as error:
        if REFUSED.search(str(error)):
            remedy = "Correct the host, database, user or password of the block"
            raise DatabaseRefusedError(attempted, str(error), remedy) from None
        remedy = "Check that it is up and can be reached from here"
        raise DatabaseUnreachableError(attempted, str(error), remedy) from None
    # libpq quotes the whole address, password and all, when it cannot read it.
    except psycopg.ProgrammingError:
        raise DatabaseRefusedError(
            attempted,
            "its address cannot be read",
            "Register it as postgresql://user:password@host:port/database",
        ) from None


@contextmanager
def connected(
    url: str,
    what: str,
    *,
    autocommit: bool = True,
    options: str | None = None,
    application: str = APPLICATION,
) -> Iterator[psycopg.Connection]:
    """`open_connection` for a block of statements; what breaks off within it is typed, too."""
    opened = open_connection(
        url, what, autocommit=autocommit, options=options, application=application
    )
    try:
        with opened as connection, _ended_with_its_statement(connection):
            yield connection
    except psycopg.errors.QueryCanceled:
        raise
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(
            f"Working in {what}",
            f"{type(error).__name__}: {error}",
            "Check that it is up and has room; what was not committed is done again",
        ) from error


@contextmanager
def _ended_with_its_statement(connection: psycopg.Connection) -> Iterator[None]:
    """A program that is told to stop leaves no statement running on the server."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        connection.cancel_safe(timeout=CANCEL_SECONDS)
        raise


def _text(value: object) -> str | None:
    return None if value is None else str(value)
