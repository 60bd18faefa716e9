"""The one door to making raw tables on PostgreSQL: nothing is locked where nothing is to do, and
what is to do waits for nobody for long.

A lock that waits keeps out all who come behind it, readers too. What was made is therefore
remembered with what the catalogue said of it then; while both are as they were, only the catalogue
is read.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import sql

from flows._shared.errors import PermanentError, TransientError

Made = TypeVar("Made")

LOCK_SECONDS = 2.0
# Another run may be making the same tables, and their indexes.
TURN_SECONDS = 120.0
PAUSES = (1.0, 2.0, 4.0, 8.0)
HOLDERS_NAMED = 3
REMEMBERED = "made_raw_tables"
TABLES = re.compile(r"create table if not exists\s+([\w.]+)")
FUNCTIONS = re.compile(r"create or replace function\s+([\w.]+)")

FINGERPRINT = """
with relations as (
    select name, to_regclass(name)::oid as oid from unnest(%(relations)s::text[]) as name
),

told (line) as (
    select concat_ws(' ', 'relation', name, relkind, reloptions)
    from relations
    left join pg_class on pg_class.oid = relations.oid
    union all
    select concat_ws(
        ' ', 'column', name, attnum, attname, atttypid, atttypmod, attnotnull, attidentity,
        attgenerated, md5(adbin::text)
    )
    from relations
    inner join pg_attribute on attrelid = relations.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    union all
    select concat_ws(
        ' ', 'constraint', name, conname, contype, conkey, confrelid, confkey, convalidated,
        condeferrable, md5(conbin::text)
    )
    from relations
    inner join pg_constraint on conrelid = relations.oid
    union all
    select concat_ws(
        ' ', 'index', name, indexrelid, indkey, indisunique, indisvalid, indimmediate,
        md5(indexprs::text), md5(indpred::text)
    )
    from relations
    inner join pg_index on indrelid = relations.oid
    union all
    select concat_ws(' ', 'trigger', name, tgname, tgfoid, tgenabled, tgtype, md5(tgqual::text))
    from relations
    inner join pg_trigger on tgrelid = relations.oid and not tgisinternal
    union all
    select concat_ws(' ', 'rule', name, rulename, ev_enabled, md5(ev_action::text))
    from relations
    inner join pg_rewrite on ev_class = relations.oid
    union all
    select concat_ws(
        ' ', 'function', name, proargtypes, prosecdef, proconfig, provolatile, proacl,
        md5(prosrc)
    )
    from unnest(%(functions)s::text[]) as name
    left join pg_namespace on nspname = split_part(name, '.', 1)
    left join pg_proc on pronamespace = pg_namespace.oid and proname = split_part(name, '.', 2)
)

select %(digest)s || ' ' || md5(string_agg(line, E'\\n' order by line collate "C")) from told
"""

HOLDERS = """
select
    pid,
    coalesce(nullif(application_name, ''), 'without a name'),
    usename,
    state,
    date_trunc('second', clock_timestamp() - xact_start)::text,
    (
        select string_agg(distinct held.relation::regclass::text, ', ')
        from pg_locks as held
        where
            held.pid = pg_stat_activity.pid
            and held.granted
            and held.relation = any(wanted.tables)
    )
from pg_stat_activity
cross join (
    select array(
        select to_regclass(name)::oid from unnest(%(relations)s::text[]) as name
    ) as tables
) as wanted
where
    pid <> pg_backend_pid()
    and pid in (
        select pid
        from pg_locks
        where
            granted
            and database = (select oid from pg_database where datname = current_database())
            and (
                relation = any(wanted.tables)
                or (locktype = 'advisory' and classid = 0 and objid = %(lock)s and objsubid = 1)
            )
    )
order by xact_start nulls last
limit %(limit)s
"""


class RawTablesLockedError(TransientError):
    """Another session holds a lock that a change of raw tables needs."""


class NotRememberedError(PermanentError):
    """The table that remembers what was made is another, or may not be read or written."""


@dataclass(frozen=True)
class RawTables:
    """What is made, and where it is remembered.

    Args:
        name: in the words of an error, such as ``Scout's raw tables``.
        schema: the schema of the domain's own in which it is remembered.
        lock: the number of the advisory lock under which they are made.
        statements: the SQL that makes them; from it follows which tables and functions they are.
        besides: other texts from which follows what is made.
        relations: other relations that are looked at, such as views.
    """

    name: str
    schema: str
    lock: int
    statements: str
    besides: tuple[bytes, ...] = ()
    relations: tuple[str, ...] = ()


def ensure_raw_tables(
    connection: psycopg.Connection,
    tables: RawTables,
    make: Callable[[], object] | None = None,
    *,
    pauses: Sequence[float] | None = None,
) -> bool:
    """Make what is missing, in one transaction. Returns whether there was anything to do.

    Args:
        connection: in autocommit mode.
        make: what makes them; None to run the statements.
        pauses: seconds between attempts; None for the usual ones.

    Raises:
        RawTablesLockedError: another session holds what is needed; nothing was changed.
        NotRememberedError: what was made cannot be remembered; nothing was changed.
    """
    try:
        with connection.transaction():
            _limit_waits(connection, LOCK_SECONDS)
            if _is_made(connection, tables):
                return False
    except psycopg.errors.LockNotAvailable:
        # Who holds what remembers it is waited for, and told, as who holds the tables is.
        pass

    def make_and_remember() -> bool:
        if _is_made(connection, tables):
            return False
        if make is None:
            connection.execute(tables.statements.encode())
        else:
            make()
        _remember(connection, tables)
        return True

    return change_tables(
        connection,
        tables.name,
        tables.lock,
        [*_relations(tables), f"{tables.schema}.{REMEMBERED}"],
        make_and_remember,
        pauses=pauses,
    )


def change_tables(
    connection: psycopg.Connection,
    name: str,
    lock: int,
    relations: Sequence[str],
    change: Callable[[], Made],
    *,
    pauses: Sequence[float] | None = None,
) -> Made:
    """Change relations in one transaction that waits for nobody's locks for long, a few times.

    Raises:
        RawTablesLockedError: it names who holds one of the relations; nothing was changed.
    """
    attempts: tuple[float | None, ...] = (*(PAUSES if pauses is None else pauses), None)
    for pause in attempts:
        waited = TURN_SECONDS
        try:
            with connection.transaction():
                _limit_waits(connection, waited)
                connection.execute("select pg_advisory_xact_lock(%s)", (lock,))
                waited = LOCK_SECONDS
                _limit_waits(connection, waited)
                return change()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            holders = _holders(connection, lock, relations)
            if pause is None:
                raise _locked(name, len(attempts), waited, holders) from error
            time.sleep(pause)
    raise AssertionError


def _is_made(connection: psycopg.Connection, tables: RawTables) -> bool:
    place = f"{tables.schema}.{REMEMBERED}"
    if connection.execute("select to_regclass(%s)", (place,)).fetchone() == (None,):
        return False
    with _remembering(tables):
        known = connection.execute(
            sql.SQL("select fingerprint from {} where name = %s").format(
                sql.Identifier(tables.schema, REMEMBERED)
            ),
            (tables.name,),
        ).fetchone()
    return known is not None and known[0] == _fingerprint(connection, tables)


def _remember(connection: psycopg.Connection, tables: RawTables) -> None:
    place = sql.Identifier(tables.schema, REMEMBERED)
    fingerprint = _fingerprint(connection, tables)
    with _remembering(tables):
        connection.execute(
            sql.SQL(
                "create table if not exists {} (name text primary key, fingerprint text not null,"
                " made_at timestamptz not null)"
            ).format(place)
        )
        connection.execute(
            sql.SQL(
                "insert into {} (name, fingerprint, made_at) values (%s, %s, clock_timestamp())"
                " on conflict (name) do update"
                " set fingerprint = excluded.fingerprint, made_at = excluded.made_at"
            ).format(place),
            (tables.name, fingerprint),
        )


@contextmanager
def _remembering(tables: RawTables) -> Iterator[None]:
    place = f"{tables.schema}.{REMEMBERED}"
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotRememberedError(
            f"Remembering in {place} that {tables.name} are made",
            str(error.diag.message_primary),
            f"Give {place} to the role that makes the tables: alter table {place} owner to <role>",
        ) from None
    except (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError) as error:
        raise NotRememberedError(
            f"Remembering in {place} that {tables.name} are made",
            f"it is not the table that is made for it: {error.diag.message_primary}",
            f"Rename what has that name, or drop it: {place} is made anew",
        ) from None


def _fingerprint(connection: psycopg.Connection, tables: RawTables) -> str:
    digest = hashlib.sha256()
    for text in (tables.statements.encode(), *tables.besides):
        digest.update(hashlib.sha256(text).digest())
    row = connection.execute(
        FINGERPRINT,
        {
            "relations": _relations(tables),
            "functions": sorted(set(FUNCTIONS.findall(tables.statements))),
            "digest": digest.hexdigest(),
        },
    ).fetchone()
    assert row is not None
    return str(row[0])


def _relations(tables: RawTables) -> list[str]:
    return sorted({*TABLES.findall(tables.statements), *tables.relations})


def _limit_waits(connection: psycopg.Connection, seconds: float) -> None:
    connection.execute(
        "select set_config('lock_timeout', %s, true)", (f"{int(seconds * 1_000)}ms",)
    )


def _holders(connection: psycopg.Connection, lock: int, relations: Sequence[str]) -> list[str]:
    rows = connection.execute(
        HOLDERS, {"relations": list(relations), "lock": lock, "limit": HOLDERS_NAMED}
    )
    return [
        f"pid {pid} ({application}, user {user}, {state or 'state not shown'}"
        + (f" since {since}" if since else "")
        + ") holds "
        + (f"a lock on {held}" if held else "the turn to change them")
        for pid, application, user, state, since, held in rows
    ]


def _locked(
    name: str, attempts: int, waited: float, holders: Sequence[str]
) -> RawTablesLockedError:
    seen = "; ".join(holders) or "another session held a lock"
    return RawTablesLockedError(
        f"Making or changing {name}",
        f"{seen}, and none let go within {waited:g} s, attempts made: {attempts}",
        "Nothing was changed. End that transaction where it was begun, or by "
        "select pg_terminate_backend(<pid>), and run again",
    )
