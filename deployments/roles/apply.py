"""Mends what deviates, in one transaction: all of it or nothing."""

from collections.abc import Mapping
from dataclasses import replace

import psycopg
from psycopg import sql

from deployments.roles.plan import deviations
from deployments.roles.table import Role
from deployments.roles.wanted import Step, Wanted
from flows._shared.errors import PermanentError, TransientError

APPLY_LOCK = 7_310_090
# A load or a build holds its tables for longer at times; readers would wait behind who waits.
LOCK_TIMEOUT = "20s"


def check(connection: psycopg.Connection, wanted: Wanted) -> list[Step]:
    """What deviates. Any role may look; nothing is changed."""
    return [step for steps in deviations(connection, wanted) for step in steps]


def apply(
    connection: psycopg.Connection, wanted: Wanted, passwords: Mapping[Role, str] | None = None
) -> list[Step]:
    """Make roles, schemas, owners and grants as they should be; returns what was changed.

    Args:
        connection: of a superuser, or of an owner of the database who may make roles.
        passwords: of roles; one that is not named keeps its own.

    Raises:
        PermanentError: a right is missing, or something belongs to a role that was not named.
        TransientError: a run holds a table.
    """
    attempted = f"Applying the roles of {wanted.database.slug}"
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'".encode())
            connection.execute("select pg_advisory_xact_lock(%s)", [APPLY_LOCK])
            us = str(_one(connection, "select current_user::text"))
            if us in wanted.ours:
                raise PermanentError(
                    attempted,
                    f"{us} would apply them to itself, and lose what it may",
                    "Apply them as another role, or name the roles otherwise",
                )
            wanted = replace(wanted, former={*wanted.former, us})
            done = _mend(connection, wanted, attempted, passwords or {})
            if left := check(connection, wanted):
                raise PermanentError(
                    attempted,
                    f"this is left: {left[0].seen}",
                    f"Let a superuser run: {left[0].statement}",
                )
    except psycopg.errors.LockNotAvailable as error:
        raise TransientError(
            attempted,
            f"{error.diag.message_primary}; nothing was changed",
            "A load or a build is at work: try again when it has ended",
        ) from None
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.UndefinedFile,
        psycopg.errors.FeatureNotSupported,
    ) as error:
        raise PermanentError(
            attempted,
            f"{error.diag.message_primary}; nothing was changed",
            "Run it as a superuser, or as an owner of the database who may create roles; a "
            "superuser makes extensions",
        ) from None
    return done


def _mend(
    connection: psycopg.Connection,
    wanted: Wanted,
    attempted: str,
    passwords: Mapping[Role, str],
) -> list[Step]:
    done: list[Step] = []
    for number, steps in enumerate(deviations(connection, wanted)):
        done += _perform(connection, steps, attempted)
        if number == 0:
            _enter(connection, wanted)
            for role, password in passwords.items():
                _set_password(connection, wanted.names[role], password)
    if _makes_raw_tables(wanted):
        _make_raw_tables(connection, wanted)
        for steps in deviations(connection, wanted):
            done += _perform(connection, steps, attempted)
    return done


def _perform(connection: psycopg.Connection, steps: list[Step], attempted: str) -> list[Step]:
    if strangers := sorted({step.taken_from for step in steps if step.taken_from}):
        seen = next(step.seen for step in steps if step.taken_from)
        former = " ".join(f"--former {each}" for each in strangers)
        raise PermanentError(
            attempted,
            f"{seen}; nothing was changed",
            f"If it was made by flows under that role, add: {former}",
        )
    for step in steps:
        connection.execute(step.statement.encode())
    return steps


def _enter(connection: psycopg.Connection, wanted: Wanted) -> None:
    """Who is no superuser hands over to, and acts for, roles that it is a member of."""
    for name in wanted.ours:
        if not _one(connection, "select pg_has_role(%s, 'usage')", name):
            statement = sql.SQL("grant {} to current_user").format(sql.Identifier(name))
            connection.execute(statement)


def _set_password(connection: psycopg.Connection, name: str, password: str) -> None:
    """As its hash: the password itself is in no statement that a server may log."""
    hashed = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(hashed))
    )


def _makes_raw_tables(wanted: Wanted) -> bool:
    """Whether grants are given table by table, so that the tables must be there."""
    return wanted.database.built_from is not None


def _make_raw_tables(connection: psycopg.Connection, wanted: Wanted) -> None:
    from flows.scout import raw

    connection.execute(sql.SQL("set local role {}").format(sql.Identifier(wanted.names.loader)))
    raw.ensure_schema(connection)
    connection.execute("reset role")


def _one(connection: psycopg.Connection, query: str, *names: str) -> object:
    row = connection.execute(query.encode(), names).fetchone()
    assert row is not None
    return row[0]
