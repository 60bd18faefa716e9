"""The columns of a table on PostgreSQL, and the name and type of each on BigQuery."""

import re
import unicodedata
from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.errors import ExportSourceError
from flows._shared.bigquery_export.records import Column, CopiedTable
from flows._shared.postgres import set_local

NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_]")
# BigQuery keeps names that begin so for its own columns.
COLUMN_NAME = re.compile(
    r"(?!_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER|_CHANGE_)"
    r"[A-Z_][A-Z0-9_]{0,299}",
    re.IGNORECASE | re.ASCII,
)
# By Unicode's categories: letters, marks, numbers, connectors, dashes and spaces.
OF_A_TABLE_NAME = ("L", "M", "N", "Pc", "Pd", "Zs")
# Beside the copies: what is loaded for one, and what the last exports saw.
LOADING = "__loading"
MEMORY = "export_columns"
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
    row_security_active(pg_class.oid),
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

    Left out are those whose name there another has, see `unplaced_columns`.

    Raises:
        ExportSourceError: no such table, or its name or that of a column of its key or its change
            cannot be had on BigQuery.
    """
    return _placed(_all_columns(connection, table), table)[0]


def unplaced_columns(connection: psycopg.Connection, table: CopiedTable) -> tuple[str, ...]:
    """Columns that are not copied: BigQuery would give them the name of another."""
    return tuple(column.source for column in _placed(_all_columns(connection, table), table)[1])


def _placed(
    columns: Sequence[Column], table: CopiedTable
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Those that have their name on BigQuery to themselves, and those that another keeps off it:
    one of the key, or of that very name, or the first."""
    needed = {*table.key, table.change}
    places: dict[str, Column] = {}
    for column in sorted(columns, key=lambda c: (c.source not in needed, c.name != c.source)):
        places.setdefault(column.name.lower(), column)
    placed = tuple(column for column in columns if places[column.name.lower()] is column)
    unplaced = tuple(column for column in columns if places[column.name.lower()] is not column)
    for column in columns:
        if column.source in needed and (column in unplaced or column.name != column.source):
            raise ExportSourceError(
                f"exporting {table} to BigQuery",
                f"BigQuery has no place for column {column.source!r}, which the export tells rows "
                f"by: its name there is {column.name}",
                "Rename it in a view and export that",
            )
    return placed, unplaced


def _all_columns(connection: psycopg.Connection, table: CopiedTable) -> list[Column]:
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
    if not _is_a_copys_name(table.name):
        raise ExportSourceError(
            attempted,
            "a copy cannot have its name: BigQuery takes no such names, or the export has a table "
            f"of its own so called ({MEMORY}, and what ends in {LOADING})",
            "Export a view of it that has another name",
        )
    if not found:
        remedy = "Point the block at the right database, or build the table first"
        raise ExportSourceError(attempted, "there is no such table", remedy)
    columns = []
    private = private_columns(connection, table)
    has_no_encoding = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
    refuse_unread(connection, table, private)
    for name, kind, whole_digits, decimals in found:
        if name in private:
            continue
        known = TYPES.get(kind, "STRING")
        if known == "NUMERIC" and (decimals is None or decimals > 9 or whole_digits > 29):
            known = "STRING"
        columns.append(Column(_copied_name(name), known, name, has_no_encoding, kind == "jsonb"))
    missing = {*table.key, *([table.change] if table.change else [])} - {c.source for c in columns}
    if missing:
        remedy = "Correct the key and the change column of the table's description"
        raise ExportSourceError(attempted, f"it has no column {sorted(missing)}", remedy)
    return columns


def _is_a_copys_name(name: str) -> bool:
    is_ours = name.lower() == MEMORY or name.lower().endswith(LOADING)
    return not is_ours and all(unicodedata.category(c).startswith(OF_A_TABLE_NAME) for c in name)


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
    role, columns, is_secured, is_hidden = found
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
    # Of what a view reads of others' tables no policy was looked at.
    connection.execute(set_local({"row_security": "on" if is_secured else "off"}).encode())


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
