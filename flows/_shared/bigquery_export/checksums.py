"""The same text of a row in both dialects, and count and checksum of 256 buckets of keys."""

from collections.abc import Iterable, Mapping, Sequence

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.columns import only
from flows._shared.bigquery_export.forms import is_any_bytes, nearest_with_a_form
from flows._shared.bigquery_export.records import Column, CopiedTable, Fingerprint

# The same text of a row in both dialects: what the checksums are made of. A float is told exactly:
# as the power of two that it is multiplied by, which rounds neither, and of the product the whole
# part, which has up to 63 binary digits, and the fraction, which has at most 62. One such power
# does for 73 binary places; the first serves the numbers that people write, and the smallest number
# of all has no more places than the last.
PLACES = 73
FRACTION = 2.0**62
COLUMNS_AT_ONCE = 100
BANDS = range(-14, 15)


def _factor(value: str, number: str = "{!r}") -> str:
    """The power of two of a float. ``number`` is the form of a constant."""
    powers = [(-10 + PLACES * band, -10 + PLACES * (band + 1), -PLACES * band) for band in BANDS]
    lowest, highest, _ = powers[len(powers) // 2]
    one, least, most = (number.format(2.0**power) for power in (0, lowest, highest))
    usual = f"when abs({value}) >= {least} and abs({value}) < {most} then {one}"
    arms = [
        f"when abs({value}) < {number.format(2.0**highest)} then {number.format(2.0**power)}"
        for _, highest, power in powers[:-1]
    ]
    return f"case {usual} {' '.join(arms)} else {number.format(2.0 ** powers[-1][2])} end"


def _float_text(value: str, factor: str, whole: str) -> str:
    """The text of a number other than 0; ``whole`` is that of one without a fraction."""
    scaled = f"{value} * {factor}"
    parts = (
        whole.format(f"round(ln({factor}))"),
        whole.format(f"trunc({scaled})"),
        whole.format(f"({scaled} - trunc({scaled})) * {FRACTION!r}"),
    )
    return "concat(" + ", ':', ".join(parts) + ")"


FLOAT_IN_POSTGRES = (
    "case when {0} is null then null when {0} = 'NaN' then 'nan' when {0} = 'Infinity' then 'inf' "
    "when {0} = '-Infinity' then '-inf' when {0} = 0 then '0' else "
    + _float_text("{0}", f"({_factor('{0}', '{!r}::float8')})", "cast(cast({} as bigint) as text)")
    + " end"
)


def factor_in_bigquery(column: Column) -> str:
    return _factor(f"`{column.name}`")


def _float_in_bigquery(value: str, factor: str) -> str:
    return (
        f"case when {value} is null then null when is_nan({value}) then 'nan' when "
        f"is_inf({value}) then if({value} > 0, 'inf', '-inf') when {value} = 0 then '0' else "
        + _float_text(value, factor, "cast(cast({} as int64) as string)")
        + " end"
    )


def text_in_postgres(columns: Sequence[Column]) -> sql.Composable:
    texts = {
        "FLOAT": FLOAT_IN_POSTGRES,
        # With its length: a text may hold what stands between two columns.
        "STRING": "length({0}::text)::text || ':' || {0}::text",
        "BYTES": "length(convert_to({0}, 'UTF8'), 'UTF8')::text || ':' || {0}",
        "NUMERIC": "trim_scale({0})::text",
        "TIMESTAMP": "(extract(epoch from {0}) * 1000000)::bigint::text",
    }
    parts = [
        sql.SQL("coalesce('=' || " + texts.get(_told_as(column), "{0}::text") + ", '')").format(
            sql.SQL("{}::double precision").format(column.identifier)
            if column.kind == "FLOAT"
            else nearest_with_a_form(column)
        )
        for column in columns
    ]
    return sql.SQL(" || chr(31) || ").join(parts)


def _told_as(column: Column) -> str:
    return "BYTES" if is_any_bytes(column) else column.kind


def text_in_bigquery(columns: Sequence[Column], factors: Mapping[str, str] | None = None) -> str:
    """``factors`` are columns that hold the powers of two of floats, by the floats' names.

    A power is long, and named four times: where it is no column, the text is four times as long.
    """
    known = factors or {}
    texts = {
        "STRING": "concat(cast(char_length({0}) as string), ':', {0})",
        "NUMERIC": "if(strpos(cast({0} as string), '.') > 0, "
        "rtrim(rtrim(cast({0} as string), '0'), '.'), cast({0} as string))",
        "TIMESTAMP": "cast(unix_micros({0}) as string)",
    }
    plain = "cast({0} as string)"
    values = [
        _float_in_bigquery(
            f"`{column.name}`", known.get(column.name, f"({factor_in_bigquery(column)})")
        )
        if column.kind == "FLOAT"
        else texts.get(column.kind, plain).format(f"`{column.name}`")
        for column in columns
    ]
    parts = [f"coalesce(concat('=', {value}), '')" for value in values]
    # Not a chain of ||, which is nested as deep as the table is wide: too deep for the emulator.
    return f"array_to_string([{', '.join(parts)}], chr(31))"


def bucket_in_postgres(table: CopiedTable, columns: Sequence[Column]) -> sql.Composable:
    key = text_in_postgres(only(columns, table.key))
    return sql.SQL("substr(md5(convert_to({}, 'UTF8')), 1, 2)").format(key)


def bucket_in_bigquery(key: str) -> str:
    return f"substr(to_hex(md5({key})), 1, 2)"


def parts_of(table: CopiedTable, columns: Sequence[Column]) -> list[list[Column]]:
    """The key with some of the other columns, as many as one statement has room for: BigQuery takes
    a megabyte, of which a float has 3 kB."""
    others = [column for column in columns if column.name not in table.key]
    return [
        [*only(columns, table.key), *others[first : first + COLUMNS_AT_ONCE]]
        for first in range(0, max(len(others), 1), COLUMNS_AT_ONCE)
    ]


def sum_of_parts(parts: Iterable[Fingerprint]) -> Fingerprint:
    """That of whole rows: as the key is in each, no part of one row passes for that of another."""
    total: dict[str, tuple[int, int]] = {}
    for part in parts:
        for bucket, (counted, checksum) in part.items():
            total[bucket] = (counted, total.get(bucket, (0, 0))[1] + checksum)
    return total


def source_fingerprint(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    condition: sql.Composable = sql.SQL("true"),
) -> Fingerprint:
    return sum_of_parts(
        _source_part(connection, table, part, condition) for part in parts_of(table, columns)
    )


def _source_part(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    condition: sql.Composable,
) -> Fingerprint:
    query = sql.SQL(
        "select {}, count(*), "
        "sum(('x' || substr(md5(convert_to({}, 'UTF8')), 1, 8))::bit(32)::bigint) "
        "from {} where {} group by 1"
    ).format(
        bucket_in_postgres(table, columns),
        text_in_postgres(columns),
        sql.Identifier(table.schema, table.name),
        condition,
    )
    rows = connection.execute(query).fetchall()
    return {bucket: (int(counted), int(checksum)) for bucket, counted, checksum in rows}


def differing_buckets(wanted: Fingerprint, found: Fingerprint) -> set[str]:
    return {bucket for bucket in {*wanted, *found} if wanted.get(bucket) != found.get(bucket)}


def count_rows(fingerprint: Fingerprint) -> int:
    return sum(counted for counted, _ in fingerprint.values())
