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
