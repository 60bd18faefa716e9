"""Tables that are there already under the names of ours, such as an application made by the plan of
this system: they are given what they lack. Nothing of theirs is taken away but a uniqueness that
forks break; what cannot be fitted is named.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

import psycopg
from psycopg import sql

from flows._shared.counted import counted
from flows.github_scraper.raw.adoption.columns import (
    COLUMNS,
    KEYS,
    MUST_BE_KNOWN,
    OURS_WITHOUT_DEFAULT,
)
from flows.github_scraper.raw.adoption.queries import (
    BREAKABLE,
    DEFERRABLE,
    HELD,
    IDENTITIES,
    IS_UNIQUE,
    OLD_ATTEMPTS,
    RULES,
    TWINS,
    VIEWS,
)
from flows.github_scraper.raw.adoption.told import REFUSED, said_of
from flows.github_scraper.records import ApplicationTablesError

NO_ZONE = "timestamp without time zone"
CREATED = re.compile(r"create table if not exists public\.(\w+)")


@dataclass(frozen=True)
class _Held:
    name: str
    type: str
    is_required: bool
    has_default: bool
    is_identity: bool
    is_generated: bool
    sequence: str | None


def fitting_by() -> tuple[bytes, ...]:
    """The texts from which follows how tables are fitted."""
    folder = files(__package__)
    return tuple(
        folder.joinpath(name).read_bytes() for name in ("columns.py", "queries.py", "fitting.py")
    )


def fit_tables(connection: psycopg.Connection, schema: str) -> None:
    """Fit what is there to the ``schema`` that comes next, inside the caller's transaction.

    Raises:
        ApplicationTablesError: it names every table and column that cannot be fitted.
    """
    found: dict[str, str] = dict(
        connection.execute(
            "select relname, relkind::text from pg_class"
            " where relnamespace = 'public'::regnamespace and relname = any(%s)",
            (CREATED.findall(schema),),
        ).fetchall()
    )
    misfits = [
        f"{name} is a {'view' if kind in 'vm' else 'relation'} where a table is needed"
        for name, kind in sorted(found.items())
        if kind not in "rp"
    ]
    misfits += rules_on(connection, [*COLUMNS, *sorted(found.keys() - COLUMNS.keys())])
    for table in COLUMNS:
        if found.get(table) in ("r", "p"):
            misfits += _fit(connection, table)
    if misfits:
        raise ApplicationTablesError(
            f"Fitting the tables that are there already ({', '.join(sorted(found))})",
            "; ".join(misfits),
            "Change what is named, or rename the table (alter table ... rename to ...): one of our "
            "own is then made in its place",
        )


def rules_on(connection: psycopg.Connection, tables: Sequence[str]) -> list[str]:
    """What is wrong with tables of the schema ``public`` that have rules."""
    return [
        f"{table} has the rule {rule}, beside which nothing can be merged into it: "
        "drop it, or make it a trigger"
        for table, rule in connection.execute(RULES, (list(tables), list(tables)))
    ]


def _fit(connection: psycopg.Connection, table: str) -> list[str]:
    """Fit one table; returns what of it cannot be."""
    held = _held(connection, table)
    misfits = [
        f"{table}.{each.name} must be given and has no default"
        for each in held.values()
        if each.name not in COLUMNS[table].keys() | OURS_WITHOUT_DEFAULT
        and each.is_required
        and not each.has_default
    ]
    misfits += [
        f"{table}.{name} is generated where it has to be written "
        f"(alter table {table} alter column {name} drop expression)"
        for name in COLUMNS[table]
        if name in held and held[name].is_generated
    ]
    keys = ", ".join(KEYS[table])
    misfits += [
        f"{table} has the deferrable key {name}, by which no row can be merged "
        f"(alter table {table} drop constraint {name}, add unique ({keys}))"
        for (name,) in connection.execute(DEFERRABLE, (f"public.{table}", list(KEYS[table])))
    ]
    lacking = [name for name in COLUMNS[table] if name not in held]
    for name in lacking:
        _change(connection, table, name, "add column {column} {type}")
    misfits += _fit_types(connection, table, held)
    for name in MUST_BE_KNOWN.get(table, ()):
        misfits += _unknown(connection, table, name)
    if misfits:
        return misfits
    try:
        with connection.transaction():
            _fit_rows(connection, table, _held(connection, table))
    except REFUSED as error:
        return [f"{table}: {said_of(error)}"]
    return []


def _held(connection: psycopg.Connection, table: str) -> dict[str, _Held]:
    rows = connection.execute(HELD, (f"public.{table}",)).fetchall()
    return {row[0]: _Held(*row) for row in rows}


def _change(connection: psycopg.Connection, table: str, column: str, change: LiteralString) -> None:
    """Alter a table; ``change`` may name the column and what is wanted of it."""
    wanted = COLUMNS[table][column]
    connection.execute(
        sql.SQL("alter table public.{table} " + change).format(
            table=sql.Identifier(table),
            column=sql.Identifier(column),
            type=sql.SQL(wanted.type),
            default=sql.SQL(wanted.default or "null"),
        )
    )


def _fit_types(connection: psycopg.Connection, table: str, held: dict[str, _Held]) -> list[str]:
    """Give columns the types that are needed. Views on them are made anew."""
    other = [
        held[name]
        for name, wanted in COLUMNS[table].items()
        if name in held and held[name].type != wanted.type
    ]
    if not other:
        return []
    views = connection.execute(VIEWS, (f"public.{table}",)).fetchall()
    if stuck := [name for name, _, _, is_stuck in views if is_stuck]:
        return [
            f"{table}.{each.name} is {each.type} where {COLUMNS[table][each.name].type} is needed, "
            f"and {', '.join(stuck)} cannot be made anew for that: drop it until the next run"
            for each in other
        ]
    misfits = []
    try:
        with connection.transaction():
            for view in reversed(views):
                connection.execute(sql.SQL("drop view ") + sql.SQL(view[0]))
    except REFUSED as error:
        names = ", ".join(each.name for each in other)
        return [f"{table} ({names}) needs other types, and a view on it stays: {said_of(error)}"]
    for each in other:
        try:
            with connection.transaction():
                _change_type(connection, table, each)
        except REFUSED as error:
            misfits.append(
                f"{table}.{each.name} is {each.type} where {COLUMNS[table][each.name].type} is "
                f"needed ({error.diag.message_primary})"
            )
    return misfits or _made_anew(connection, table, views)


def _change_type(connection: psycopg.Connection, table: str, column: _Held) -> None:
    using: LiteralString = "using {column}::{type}"
    if column.type == NO_ZONE:
        using = "using {column} at time zone 'UTC'"
    if not column.is_identity:
        _change(connection, table, column.name, "alter column {column} drop default")
    _change(connection, table, column.name, "alter column {column} type {type} " + using)
    if column.sequence is not None and not column.is_identity:
        sequence = sql.SQL(column.sequence)
        connection.execute(sql.SQL("alter sequence {} as bigint").format(sequence))
        connection.execute(
            sql.SQL("alter table public.{} alter column {} set default nextval({})").format(
                sql.Identifier(table), sql.Identifier(column.name), sql.Literal(column.sequence)
            )
        )


def _made_anew(
    connection: psycopg.Connection, table: str, views: Sequence[tuple[str, str, list[str], bool]]
) -> list[str]:
    for name, definition, details, _ in views:
        try:
            with connection.transaction():
                for statement in (definition, *details):
                    connection.execute(statement.encode())
        except REFUSED as error:
            return [f"the view {name} does not fit {table} any more: {said_of(error)}"]
    return []


def _fit_rows(connection: psycopg.Connection, table: str, held: dict[str, _Held]) -> None:
    """Defaults, values where there are none, and what rows are merged by."""
    if not held["id"].has_default:
        _give_numbers(connection, table)
    for name, wanted in COLUMNS[table].items():
        if wanted.default is not None and not held[name].has_default:
            _change(connection, table, name, "alter column {column} set default {default}")
        if wanted.filling is not None and not held[name].is_required:
            connection.execute(
                sql.SQL("update public.{} set {} = {} where {} is null").format(
                    sql.Identifier(table), column := sql.Identifier(name),
                    sql.SQL(wanted.filling), column,
                )
            )  # fmt: skip
            _change(connection, table, name, "alter column {column} set not null")
    if "last_attempt" in held and held["last_attempt"].type == NO_ZONE:
        connection.execute(OLD_ATTEMPTS)
    if table == "contributors":
        connection.execute(IDENTITIES)
        _change(connection, table, "identity_key", "alter column {column} set not null")
    if table == "commits":
        for index, constraint in connection.execute(BREAKABLE).fetchall():
            connection.execute(
                sql.SQL("drop index ") + sql.SQL(index)
                if constraint is None
                else sql.SQL("alter table public.commits drop constraint {}").format(
                    sql.Identifier(constraint)
                )
            )
    columns = KEYS[table]
    if connection.execute(IS_UNIQUE, (f"public.{table}", list(columns))).fetchone() == (False,):
        if table == "repositories":
            connection.execute(TWINS)
        connection.execute(
            sql.SQL("alter table public.{} add unique ({})").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
        )


def _give_numbers(connection: psycopg.Connection, table: str) -> None:
    """Rows get numbers by themselves, from behind those that are there."""
    name = sql.Identifier(table)
    connection.execute(
        sql.SQL(
            "alter table public.{} alter column id set not null,"
            " alter column id add generated by default as identity"
        ).format(name)
    )
    connection.execute(
        sql.SQL(
            "select setval(pg_get_serial_sequence({}, 'id'), coalesce(max(id), 0) + 1, false)"
            " from public.{}"
        ).format(sql.Literal(f"public.{table}"), name)
    )


def _unknown(connection: psycopg.Connection, table: str, column: str) -> list[str]:
    count = connection.execute(
        sql.SQL("select count(*) from public.{} where {} is null").format(
            sql.Identifier(table), sql.Identifier(column)
        )
    ).fetchone()
    assert count is not None
    return (
        [f"{table}.{column} is NULL in {counted(count[0], 'row')}: fill or delete them"]
        if count[0]
        else []
    )
