"""The same text of a row in both dialects, and count and checksum of 256 buckets of keys."""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.columns import only
from flows._shared.bigquery_export.forms import with_a_form
from flows._shared.bigquery_export.records import Column, CopiedTable, Fingerprint

# The same text of a row in both dialects: what the checksums are made of. A float is told exactly:
# times a power of two, which neither rounds, its whole part has up to 63 binary digits and its
# fraction at most 62. One such power does for 73 binary places; the first serves the numbers that
# people write.
PLACES = 73
FRACTION = 2.0**62
BANDS = sorted(range(-15, 15), key=abs)


def _float_text(whole: str, absolute: str) -> str:
    """The arms of a case on ``{0}``; ``whole`` is the text of a float without a fraction."""
    arms = []
    for band in BANDS:
        lowest, highest = -10 + PLACES * band, -10 + PLACES * (band + 1)
        half = -PLACES * band // 2
        scaled = f"({{0}} * {2.0**half!r} * {2.0 ** (-PLACES * band - half)!r})"
        if not band:
            scaled = "({0} * 1.0)"
        bounds = [f"{absolute} >= {2.0**lowest!r}"] if lowest > -1074 else []
        bounds += [f"{absolute} < {2.0**highest!r}"] if highest < 1024 else []
        fraction = f"(({scaled} - trunc({scaled})) * {FRACTION!r})"
        arms.append(
            f"when {' and '.join(bounds)} then concat({whole.format(f'trunc({scaled})')}, ':', "
            f"{whole.format(fraction)})"
        )
    return " ".join(arms)


FLOAT_IN_POSTGRES = (
    "case when {0} is null then null when {0} = 'NaN' then 'nan' when {0} = 'Infinity' then 'inf' "
    "when {0} = '-Infinity' then '-inf' when {0} = 0 then '0' "
    + _float_text("cast(cast({} as bigint) as text)", "abs({0})")
    + " end"
)
FLOAT_IN_BIGQUERY = (
    "case when {0} is null then null when is_nan({0}) then 'nan' when is_inf({0}) then "
    "if({0} > 0, 'inf', '-inf') when {0} = 0 then '0' "
    + _float_text("cast(cast({} as int64) as string)", "abs({0})")
    + " end"
)


def text_in_postgres(columns: Sequence[Column]) -> sql.Composable:
    texts = {
        "FLOAT": FLOAT_IN_POSTGRES,
        "NUMERIC": "trim_scale({0})::text",
        "TIMESTAMP": "(extract(epoch from {0}) * 1000000)::bigint::text",
    }
    parts = [
        sql.SQL("coalesce('=' || " + texts.get(column.kind, "{0}::text") + ", '')").format(
            sql.SQL("{}::double precision").format(column.identifier)
            if column.kind == "FLOAT"
            else with_a_form(column)
        )
        for column in columns
    ]
    return sql.SQL(" || chr(31) || ").join(parts)


def text_in_bigquery(columns: Sequence[Column]) -> str:
    texts = {
        "STRING": "{0}",
        "FLOAT": FLOAT_IN_BIGQUERY,
        "NUMERIC": "if(strpos(cast({0} as string), '.') > 0, "
        "rtrim(rtrim(cast({0} as string), '0'), '.'), cast({0} as string))",
        "TIMESTAMP": "cast(unix_micros({0}) as string)",
    }
    plain = "cast({0} as string)"
    values = [texts.get(column.kind, plain).format(f"`{column.name}`") for column in columns]
    parts = [f"coalesce(concat('=', {value}), '')" for value in values]
    # Not a chain of ||, which is nested as deep as the table is wide: too deep for the emulator.
    return f"array_to_string([{', '.join(parts)}], chr(31))"


def bucket_in_postgres(table: CopiedTable, columns: Sequence[Column]) -> sql.Composable:
    key = text_in_postgres(only(columns, table.key))
    return sql.SQL("substr(md5(convert_to({}, 'UTF8')), 1, 2)").format(key)


def bucket_in_bigquery(key: str) -> str:
    return f"substr(to_hex(md5({key})), 1, 2)"


def source_fingerprint(
    connection: psycopg.Connection, table: CopiedTable, columns: Sequence[Column]
) -> Fingerprint:
    query = sql.SQL(
        "select {}, count(*), "
        "sum(('x' || substr(md5(convert_to({}, 'UTF8')), 1, 8))::bit(32)::bigint) "
        "from {} group by 1"
    ).format(
        bucket_in_postgres(table, columns),
        text_in_postgres(columns),
        sql.Identifier(table.schema, table.name),
    )
    rows = connection.execute(query).fetchall()
    return {bucket: (int(counted), int(checksum)) for bucket, counted, checksum in rows}


def differing_buckets(wanted: Fingerprint, found: Fingerprint) -> set[str]:
    return {bucket for bucket in {*wanted, *found} if wanted.get(bucket) != found.get(bucket)}


def count_rows(fingerprint: Fingerprint) -> int:
    return sum(counted for counted, _ in fingerprint.values())
