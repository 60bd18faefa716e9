"""The columns of a table on PostgreSQL, and the name and type of each on BigQuery."""

import re
from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.errors import ExportSourceError
from flows._shared.bigquery_export.records import Column, CopiedTable

NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_]")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
TYPES = {
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
    "numeric": "NUMERIC",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP",
}

# As `is_row_security_hiding` of dbt's shared package asks: a policy that lets all rows pass hides
# none, unless a restrictive one is beside it.
UNREAD = """
select
    quote_ident(current_user),
    (
        select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
        where attrelid = pg_class.oid and attnum > 0 and not attisdropped
        and attname <> all(%(private)s) and not has_column_privilege(attrelid, attnum, 'select')
    ),
    row_security_active(pg_class.oid) and not coalesce((
        select
            bool_or(polpermissive and lets_all_pass)
            and bool_and(polpermissive or lets_all_pass)
        from (
            select polpermissive,
                coalesce(pg_get_expr(polqual, polrelid) = 'true', false) as lets_all_pass
            from pg_policy
            where polrelid = pg_class.oid and polcmd in ('r', '*') and exists (
                select from unnest(polroles) as role (oid)
                where role.oid = 0 or pg_has_role(role.oid, 'usage')
            )
        ) as policies
    ), false)
from pg_class where oid = to_regclass(%(table)s)
"""


def read_columns(connection: psycopg.Connection, table: CopiedTable) -> tuple[Column, ...]:
    """The columns of a table that are copied, and the BigQuery type of each.

    Raises:
        ExportSourceError: no such table, or no BigQuery type is known for a column.
    """
    found = connection.execute(
        "select attname, "
        "format_type(case typtype when 'd' then typbasetype else atttypid end, null), "
        "case when atttypid = 'numeric'::regtype and atttypmod >= 4 "
        "then ((atttypmod - 4) >> 16) - ((atttypmod - 4) & 2047) end, "
        "case when atttypid = 'numeric'::regtype and atttypmod >= 4 "
        "then (atttypmod - 4) & 2047 end "
        "from pg_attribute join pg_type on pg_type.oid = atttypid "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [sql.Identifier(table.schema, table.name).as_string(connection)],
    ).fetchall()
    attempted = f"exporting {table} to BigQuery"
    if not found:
        remedy = "Point the block at the right database, or build the table first"
        raise ExportSourceError(attempted, "there is no such table", remedy)
    columns = []
    needed = {*table.key, table.change}
    private = private_columns(connection, table)
    refuse_unread(connection, table, private)
    for name, kind, whole_digits, decimals in found:
        if name in private:
            continue
        known = TYPES.get(kind, "STRING")
        if known == "NUMERIC" and (decimals is None or decimals > 9 or whole_digits > 29):
            known = "STRING"
        columns.append(Column(_copied_name(name), known, name))
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(column.name.lower(), []).append(column.source)
    for copied, names in by_name.items():
        if len(names) > 1 or needed.intersection(names) - {each.name for each in columns}:
            raise ExportSourceError(
                attempted,
                f"BigQuery has no place for column {names[-1]!r}: its name there is {copied}",
                "Exclude the column, or rename it in a view and export that",
            )
    missing = {*table.key, *([table.change] if table.change else [])} - {c.name for c in columns}
    if missing:
        remedy = "Correct the key and the change column of the table's description"
        raise ExportSourceError(attempted, f"it has no column {sorted(missing)}", remedy)
    return tuple(columns)


def refuse_unread(
    connection: psycopg.Connection, table: CopiedTable, private: Collection[str]
) -> None:
    """A row that is there and not seen would be deleted from the copy.

    Raises:
        ExportSourceError: the role may not read a column, or row-level security may hide rows.
    """
    name = sql.Identifier(table.schema, table.name).as_string(connection)
    asked = {"table": name, "private": [*private]}
    found = connection.execute(UNREAD, asked).fetchone()
    assert found is not None
    role, columns, is_hidden = found
    if columns:
        raise ExportSourceError(
            f"exporting {table} to BigQuery",
            f"{role} may not read its columns {columns}",
            f"Let its owner grant select ({columns}) on {name} to {role}, or exclude the columns",
        )
    if is_hidden:
        raise ExportSourceError(
            f"exporting {table} to BigQuery",
            f"row-level security may hide rows from {role}",
            f"Let its owner create policy analytics on {name} for select to {role} using (true), "
            f"or alter role {role} bypassrls",
        )


def private_columns(
    connection: psycopg.Connection, table: CopiedTable
) -> dict[str, tuple[str, ...]]:
    """The excluded columns of the table, in whatever letters, and those computed from them.

    By name those that it is computed from; none where it is excluded itself.
    """
    found = connection.execute(
        "select attname, null from pg_attribute "
        "where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped "
        "and lower(attname) = any(%(excluded)s) "
        "union select made.attname, origin.attname from pg_attribute as made "
        "join pg_attrdef on adrelid = made.attrelid and adnum = made.attnum "
        # Of the column before PostgreSQL 15, of its expression since.
        "join pg_depend on refclassid = 'pg_class'::regclass and refobjid = made.attrelid and ("
        "classid = 'pg_attrdef'::regclass and objid = pg_attrdef.oid "
        "or classid = 'pg_class'::regclass and objid = made.attrelid and objsubid = made.attnum) "
        "join pg_attribute as origin on origin.attrelid = refobjid "
        "and origin.attnum = refobjsubid and origin.attnum <> made.attnum "
        "where made.attrelid = to_regclass(%(table)s) and made.attgenerated <> '' "
        "and origin.attrelid = made.attrelid and lower(origin.attname) = any(%(excluded)s)",
        {
            "table": sql.Identifier(table.schema, table.name).as_string(connection),
            "excluded": [name.lower() for name in table.excluded],
        },
    )
    private: dict[str, tuple[str, ...]] = {}
    for name, origin in sorted(found, key=str):
        private[name] = (*private.get(name, ()), *([origin] if origin else []))
    return private


def _copied_name(name: str) -> str:
    """The name of a column on BigQuery, with a line under what its names do not hold."""
    spelled = NOT_OF_A_NAME.sub("_", name)[:299]
    return spelled if COLUMN_NAME.fullmatch(spelled) else f"_{spelled}"


BATCH = "export_batch"
FACTOR = "factor_"


def batch_column(columns: Sequence[Column]) -> str:
    """A name that none of the columns has."""
    return _free_name(BATCH, columns)


def factor_columns(columns: Sequence[Column]) -> dict[str, str]:
    """A name that none of the columns has for each that is a float."""
    first = _free_name(FACTOR, columns, is_beginning=True)
    floats = [column.name for column in columns if column.kind == "FLOAT"]
    return {name: f"{first}{number}" for number, name in enumerate(floats)}


def _free_name(name: str, columns: Sequence[Column], *, is_beginning: bool = False) -> str:
    taken = [column.name.lower() for column in columns]
    while any(each.startswith(name) if is_beginning else each == name for each in taken):
        name += "_"
    return name


def only(columns: Sequence[Column], names: Collection[str]) -> list[Column]:
    return [column for column in columns if column.name in names]
