"""Measures of the layers, and the scores that were given for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from flows.scout.records import QualityMeasures, QualityScore


@dataclass(frozen=True)
class _Scored:
    """A table that is scored: its key, its critical fields and when its newest row came.

    ``recent`` are the rows that came since a moment, found by an index.
    """

    table: str
    key: str
    critical: tuple[str, ...]
    moment: str
    recent: str = "true"


BRONZE = "bronze.bronze_transactions"
CALCULATED = "calculated_at"
# The text of a string alone: that of what was sent in its place may be longer than a text can be.
FILLED_IN_PAYLOAD = (
    "case jsonb_typeof({0}) when 'string' then nullif(btrim({1}), '') "
    "else nullif(jsonb_typeof({0}), 'null') end"
)
SCORED = (
    _Scored(
        BRONZE,
        "raw_id",
        tuple(
            FILLED_IN_PAYLOAD.format(f"raw_data -> '{key}'", f"raw_data ->> '{key}'")
            for key in ("transaction_id", "date", "amount", "vendor_id")
        ),
        "ingested_at",
        "ingested_at >= %(since)s",
    ),
    _Scored(
        "silver.silver_validated_transactions",
        "transaction_id",
        ("category", "vendor_name", "tax_code", "employee_id", "cost_center"),
        "ingested_at",
        "raw_id >= ("
        "select min(raw_id) from bronze.bronze_transactions where ingested_at >= %(since)s)",
    ),
    _Scored("silver.silver_products", "sku", ("category", "brand", "barcode"), "ingested_at"),
    _Scored(
        "gold.gold_monthly_summary",
        "(month, category, currency)",
        ("total_amount", "median_amount"),
        CALCULATED,
    ),
    _Scored(
        "gold.gold_category_trends",
        "(week, category, currency)",
        ("total_amount", "ma_4week"),
        CALCULATED,
    ),
)


def measure_quality(
    connection: psycopg.Connection, now: datetime, window: timedelta, unchanged: Collection[str]
) -> list[QualityMeasures]:
    """What every table that is there holds; of bronze and silver, what came in lately.

    Args:
        window: how long before the newest payload of bronze lately begins.
        unchanged: names of the tables that a build found as it would have calculated them now.
    """
    measures: list[QualityMeasures] = []
    since = None
    for each in SCORED:
        if connection.execute("select to_regclass(%s)", (each.table,)).fetchone() == (None,):
            continue
        if each.table == BRONZE:
            (newest,) = _only_row(
                connection, "select max(ingested_at) from bronze.bronze_transactions"
            )
            since = newest - window if newest else None
        filled = " + ".join(f"count({field})" for field in each.critical)
        rows, completeness, uniqueness, age_hours = _only_row(
            connection,
            f"""
            select
                count(*),
                coalesce(100.0 * ({filled}) / nullif(count(*) * {len(each.critical)}, 0), 100),
                coalesce(100.0 * count(distinct {each.key}) / nullif(count(*), 0), 100),
                extract(epoch from %(now)s::timestamptz - coalesce(
                    max({each.moment}),
                    case when exists (select 1 from {each.table}) then %(since)s::timestamptz end
                )) / 3600
            from {each.table}
            where {each.recent}
            """,  # noqa: S608  nothing but the constants above
            {"now": now, "since": since},
        )
        age = None if age_hours is None else float(age_hours)
        if each.moment == CALCULATED and each.table.partition(".")[2] in unchanged:
            age = 0.0
        measures.append(
            QualityMeasures(each.table, rows, float(completeness), float(uniqueness), age)
        )
    return measures


def _only_row(
    connection: psycopg.Connection, query: str, values: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row


def record_scores(
    connection: psycopg.Connection, scores: Sequence[QualityScore], measured_at: datetime
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into scout.data_quality_scores (
                table_name, measured_at, row_count, completeness, uniqueness, timeliness, score
            ) values (%s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    *(each.measures.table, measured_at, each.measures.rows),
                    *(each.measures.completeness, each.measures.uniqueness),
                    *(each.timeliness, each.score),
                )
                for each in scores
            ],
        )
