"""The one door to PostgreSQL: every connection of flows and of the receiver is opened here.

    DatabaseUnreachableError  it does not answer, or broke off: another try may help
    DatabaseRefusedError      it answers and does not let us in, or the address is no address

A connection is safe behind a pooler that hands out servers by transaction: statements are never
prepared. It says whose it is (`application_name`), unless the address does. What its statements
rest on is set, whatever defaults the database or the role has (`SETTINGS`).
"""

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from flows._shared.errors import PermanentError, TransientError

APPLICATION = "analytics-flows"
READ_ONLY = "-c default_transaction_read_only=on"
# Where row-level security would keep some back, PostgreSQL raises instead.
EVERY_ROW = "-c row_security=off"
URL = re.compile("postgres(?:ql)?://", re.IGNORECASE)
PORTS = re.compile("[0-9,]*", re.ASCII)
# What our statements rest on, and how values look: PostgreSQL's own defaults, in the place of those
# that a database or a role has. What an address sets stays. Only what is another is set, for behind
# a pooler that hands out servers by transaction it may stay on a server.
SETTINGS = {
    "bytea_output": "hex",
    "DateStyle": "ISO, MDY",
    "extra_float_digits": "1",
    "IntervalStyle": "postgres",
    "quote_all_identifiers": "off",
    "search_path": '"$user", public',
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}
SETTLE = (
    "select set_config(name, wanted, false) from pg_settings inner join (values "  # noqa: S608
    + ", ".join(f"('{name}', '{wanted}')" for name, wanted in SETTINGS.items())
    + ") as needed (name, wanted) using (name) where setting <> wanted and source <> 'client'"
)
CONNECT_SECONDS = 10
CANCEL_SECONDS = 2
LOGGER = logging.getLogger(__name__)
# libpq tells a refusal in words only; no retry mends one.
REFUSED = re.compile(
    "authentication failed|does not exist|no password supplied|no pg_hba.conf entry"
    "|is not permitted to log in|permission denied|does not support SSL|certificate",
    re.IGNORECASE,
)

# What is no fault of the address: it says what is wrong, and who owns the database mends it.
OF_ROLE = {
    re.compile("is not permitted to log in"): "Let it log in: `alter role {user} login`",
    re.compile("permission denied for database"): "Let it in: `grant connect on database ... to "
    "{user}`, or `flows roles apply`",
}
FULL = re.compile("too many connections|too many clients|connection slots are reserved")

_lock = threading.Lock()
_at_work: set[psycopg.Connection] = set()


def set_local(settings: Mapping[str, str]) -> str:
    """Statements that set these in a transaction alone, and take no snapshot as a query would:
    behind a pooler the next transaction of this server is another's."""
    return "; ".join(f"set local {name} to {value}" for name, value in settings.items())


class DatabaseUnreachableError(TransientError):
    """PostgreSQL does not answer, or the connection broke off."""


class DatabaseRefusedError(PermanentError):
    """PostgreSQL does not let this user in, or the address is none."""


class RoleRefusedError(DatabaseRefusedError):
    """The address is right, and its role is not let in."""


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
    given: dict[str, Any] = {}
    try:
        given = conninfo_to_dict(url)
        if not is_plain_address(url, given):
            raise _unreadable(attempted)
        opened = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=None,
            options=" ".join(filter(None, [_text(given.get("options")), options])) or None,
            application_name=_text(given.get("application_name")) or application,
            connect_timeout=given.get("connect_timeout") or connect_seconds,
            tcp_user_timeout=silence_milliseconds or given.get("tcp_user_timeout"),
        )
        try:
            opened.execute(SETTLE)
            opened.autocommit = autocommit
        except BaseException:
            opened.close()
            raise
        return opened
    except psycopg.OperationalError as error:
        seen = _without_password(str(error), _text(given.get("password")))
        for words, remedy in OF_ROLE.items():
            if words.search(str(error)):
                told = remedy.format(user=given.get("user") or "it")
                raise RoleRefusedError(attempted, seen, told) from None
        if REFUSED.search(str(error)):
            remedy = (
                "Correct the host, database, user or password in the block, or in the variable "
                "that names the address"
            )
            raise DatabaseRefusedError(attempted, seen, remedy) from None
        remedy = "Check that it is up and can be reached from here"
        if FULL.search(str(error)):
            remedy = (
                "End some, or raise the limit: of the role (`alter role {user} connection limit "
                "-1`), of the database, or `max_connections`"
            ).format(user=given.get("user") or "...")
        raise DatabaseUnreachableError(attempted, seen, remedy) from None
    # libpq quotes the whole address, password and all, when it cannot read it.
    except psycopg.ProgrammingError:
        raise _unreadable(attempted) from None


def is_plain_address(url: str, given: Mapping[str, Any]) -> bool:
    """False where a part of the password may be read as another part of the address.

    Args:
        given: what libpq reads in it.
    """
    before, _, _ = url.strip().partition("?")
    if match := URL.match(before):
        login, at, rest = before[match.end() :].partition("@")
        if at and ("/" in login or "@" in rest):
            return False
    # An abstract socket begins so.
    hosts = str(given.get("host") or "").split(",")
    return not any("@" in host[1:] for host in hosts) and bool(
        PORTS.fullmatch(str(given.get("port") or ""))
    )


def _unreadable(attempted: str) -> DatabaseRefusedError:
    return DatabaseRefusedError(
        attempted,
        "its address cannot be read",
        "Write it as postgresql://user:password@host:port/database, and percent-encode what is "
        "no letter or digit in user and password: @ as %40, / as %2F",
    )


def _without_password(text: str, password: str | None) -> str:
    for form in {password, quote(password, safe=""), quote(password)} if password else ():
        text = text.replace(form, "*****")
    return text


@contextmanager
def connected(
    url: str,
    what: str,
    *,
    autocommit: bool = True,
    options: str | None = None,
    application: str = APPLICATION,
) -> Iterator[psycopg.Connection]:
    """`open_connection` for a block of statements; what breaks off within it is typed, too, and
    with ``EVERY_ROW`` what its role may not see."""
    opened = open_connection(
        url, what, autocommit=autocommit, options=options, application=application
    )
    try:
        with opened as connection, _ended_with_its_statement(connection):
            yield connection
    except psycopg.errors.QueryCanceled:
        raise
    except psycopg.errors.InsufficientPrivilege as error:
        if EVERY_ROW not in (options or ""):
            raise
        raise DatabaseRefusedError(
            f"Reading {what}",
            str(error),
            "Let the role of the address select from it; where row-level security keeps rows back, "
            "also `alter role ... bypassrls`",
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnreachableError(
            f"Working in {what}",
            f"{type(error).__name__}: {error}",
            "Check that it is up and has room; what was not committed is done again",
        ) from error


@contextmanager
def _ended_with_its_statement(connection: psycopg.Connection) -> Iterator[None]:
    """A program that is told to stop leaves no statement running on the server."""
    with _lock:
        _at_work.add(connection)
    try:
        yield
    except Exception:
        raise
    except BaseException:
        _end_statement(connection)
        raise
    finally:
        with _lock:
            _at_work.discard(connection)


def end_statements() -> None:
    """End what other threads of this process have under way on the server."""
    with _lock:
        at_work = list(_at_work)
    for connection in at_work:
        _end_statement(connection)


def _end_statement(connection: psycopg.Connection) -> None:
    try:
        connection.cancel_safe(timeout=CANCEL_SECONDS)
    except psycopg.OperationalError as error:
        # What ends a run must not become a failure that is tried again: the server ends the
        # statement once its client is gone.
        LOGGER.warning("a statement could not be cancelled: %s", type(error).__name__)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
