"""Values that BigQuery has no form for: as what they are read, and which they are."""

from collections.abc import Collection, Sequence

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.columns import only
from flows._shared.bigquery_export.records import Column, CopiedTable
from flows._shared.json_numbers import MOST_WRITTEN

# What BigQuery has a form for.
WITH_A_FORM = {
    "NUMERIC": "nullif({0}, 'NaN')",
    "DATE": "case when {0} >= '0001-01-01' and {0} <= '9999-12-31' then {0} end",
    "TIMESTAMP": "case when {0} >= '0001-01-01' and {0} < '10000-01-01' then {0} end",
}
# What is copied: an instant before or after all that it has a form for is its first or its last, as
# that there is one may say that a row is deleted. What is no number is NULL.
NEAREST = WITH_A_FORM | {
    "DATE": "case when {0} is not null then least(greatest({0}, '0001-01-01'), '9999-12-31') end",
    "TIMESTAMP": "case when {0} is not null then "
    "least(greatest({0}, '0001-01-01'), '9999-12-31 23:59:59.999999') end",
}
# Of a text without an encoding, what is UTF-8, byte by byte; another is copied with its other bytes
# as octal escapes.
UTF_8 = (
    "[0-7].|(c[2-9a-f]|d.)[89ab].|(e0[ab]|e[1-9abcef][89ab]|ed[89]).[89ab]."
    "|(f0[9ab]|f[123][89ab]|f48).[89ab].[89ab]."
)
AS_BYTES = "convert_to({0}::text, 'SQL_ASCII')"
IS_UTF_8 = f"encode({AS_BYTES}, 'hex') ~ '^({UTF_8})*$'"
TEXT_WITH_A_FORM = f"case when {IS_UTF_8} then {{0}}::text end"
NEAREST_TEXT = f"case when {IS_UTF_8} then {{0}}::text else encode({AS_BYTES}, 'escape') end"
# A document whose numbers jsonb writes out in no more than a text can hold: it keeps a few bytes of
# `1e-16383`. Less than the first number of bytes has no room for so many of them.
DOCUMENT_WITH_A_FORM = (
    "case when pg_column_compression({0}) is null "  # noqa: S608  nothing but constants
    "and pg_column_size({0}) < 4000 or coalesce((select sum("
    "scale(number::numeric) + case when abs(number::numeric) < 1e1000 "
    "then length(trunc(number::numeric)::text) else 131072 end) from "
    "jsonb_path_query({0}, 'strict $.** ? (@.type() == \"number\")') as found (number)), 0) "
    f"<= {MOST_WRITTEN} then {{0}} end"
)
AS_READ = {
    "STRING": "{0}::text",
    "FLOAT": "{0}::double precision",
    "TIMESTAMP": "(extract(epoch from {0}) * 1000000)::bigint",
}


def with_a_form(column: Column) -> sql.Composable:
    form = TEXT_WITH_A_FORM if is_any_bytes(column) else WITH_A_FORM.get(column.kind, "{0}")
    return _formed(column, form)


def nearest_with_a_form(column: Column) -> sql.Composable:
    form = NEAREST_TEXT if is_any_bytes(column) else NEAREST.get(column.kind, "{0}")
    return _formed(column, form)


def _formed(column: Column, form: str) -> sql.Composable:
    value = sql.SQL(DOCUMENT_WITH_A_FORM if column.is_jsonb else "{0}").format(column.identifier)
    return sql.SQL("(" + form + ")").format(sql.SQL("({})").format(value))


def is_any_bytes(column: Column) -> bool:
    return column.has_no_encoding and column.kind == "STRING"


def has_key(table: CopiedTable, columns: Sequence[Column]) -> sql.Composable:
    """Whether the copy can tell a row by its key: two that it has no form for would be one."""
    return sql.SQL(" and ").join(
        sql.SQL("{} is not null").format(with_a_form(column)) for column in only(columns, table.key)
    )


def as_read(column: Column) -> sql.Composable:
    return sql.SQL(AS_READ.get(column.kind, "{0}")).format(nearest_with_a_form(column))


# Enough to find them by; the count tells how many there are.
NULLED_KEYS = 10
LONGEST_KEY = 100


def nulled_values(
    connection: psycopg.Connection, table: CopiedTable, columns: Sequence[Column]
) -> dict[str, int]:
    doubtful = [
        each for each in columns if each.kind in WITH_A_FORM or is_any_bytes(each) or each.is_jsonb
    ]
    if not doubtful:
        return {}
    query = sql.SQL("select {} from {} where {}").format(
        sql.SQL(", ").join(
            sql.SQL("count({}) - count({})").format(column.identifier, with_a_form(column))
            for column in doubtful
        ),
        sql.Identifier(table.schema, table.name),
        has_key(table, columns),
    )
    counted = connection.execute(query).fetchone() or ()
    return {c.name: number for c, number in zip(doubtful, counted, strict=True) if number}


def nulled_keys(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    nulled: Collection[str],
) -> dict[str, tuple[str, ...]]:
    return {
        column.name: first_keys(
            connection,
            table,
            columns,
            sql.SQL("{} and {} is not null and {} is null").format(
                has_key(table, columns), column.identifier, with_a_form(column)
            ),
        )[1]
        for column in only(columns, nulled)
    }


def first_keys(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    condition: sql.Composable,
) -> tuple[int, tuple[str, ...]]:
    """How many rows are so, and the keys of the first."""
    by_name = {column.name: column for column in columns}
    keys = [by_name[name] for name in table.key]
    query = sql.SQL(
        "select concat_ws(', ', {}), count(*) over () from {} where {} order by {} limit {}"
    ).format(
        sql.SQL(", ").join(
            sql.SQL("coalesce({}::text, 'NULL')").format(
                nearest_with_a_form(key) if is_any_bytes(key) or key.is_jsonb else key.identifier
            )
            for key in keys
        ),
        sql.Identifier(table.schema, table.name),
        condition,
        sql.SQL(", ").join(key.identifier for key in keys),
        sql.Literal(NULLED_KEYS),
    )
    rows = connection.execute(query).fetchall()
    return rows[0][1] if rows else 0, tuple(str(key)[:LONGEST_KEY] for key, _ in rows)
