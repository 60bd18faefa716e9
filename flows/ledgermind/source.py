"""Reads LedgerMind's operational database, and never writes to it."""

from collections.abc import Sequence

import psycopg

from flows._shared.events import AnomalyBegan
from flows.ledgermind.records import AnomalyEnded, OperationalDatabaseError

REQUIRED = ("suggestion_events", "suggestion_feedback", "transactions", "model_registry", "tenants")
NEW_ANOMALIES = """
select metric, created_date, observed, expected, owner
from (
    select
        *,
        max(created_date) over () - 3 as three_days_before,
        max(created_date) filter (where is_anomaly) over (partition by metric) as newest,
        max(created_date) filter (where is_new) over (partition by metric) as newest_beginning
    from analytics.mart_suggestions_anomalies
) as days
where
    is_new
    and newest > three_days_before
    and (created_date > three_days_before or created_date = newest_beginning)
order by 1, 2
"""
ENDED_ANOMALIES = """
select metric, created_date, departed_days
from analytics.mart_suggestions_anomalies
where
    not is_anomaly
    and departed_days >= 7
    and created_date = (select max(created_date) from analytics.mart_suggestions_anomalies)
order by 1
"""


def count_operational_rows(connection: psycopg.Connection) -> int:
    """Events and feedback rows that are there.

    Raises:
        OperationalDatabaseError: a table that the models read is missing.
    """
    missing = [
        table
        for table in REQUIRED
        if connection.execute("select to_regclass(%s)", [f"public.{table}"]).fetchone() == (None,)
    ]
    if missing:
        raise OperationalDatabaseError(
            "reading LedgerMind's operational database",
            f"schema public has no {', '.join(missing)}",
            "Point the block at LedgerMind's database, or set `sample_events` to try with a sample",
        )
    counted = connection.execute(
        "select (select count(*) from public.suggestion_events) "
        "+ (select count(*) from public.suggestion_feedback)"
    ).fetchone()
    assert counted is not None
    return int(counted[0])


def new_anomalies(connection: psycopg.Connection) -> Sequence[AnomalyBegan]:
    """Those that began on the last three finished days of the marts, or that go on and may have
    begun before anybody built these: what was told is not told again while the server knows it."""
    is_built = "select to_regclass('analytics.mart_suggestions_anomalies') is not null"
    if connection.execute(is_built).fetchone() == (False,):
        return []
    return [
        AnomalyBegan(metric=metric, day=day, observed=observed, expected=expected, owner=owner)
        for metric, day, observed, expected, owner in connection.execute(NEW_ANOMALIES)
    ]


def ended_anomalies(connection: psycopg.Connection) -> Sequence[AnomalyEnded]:
    """Those of a week or more that were over on the last finished day of the marts."""
    is_built = (
        "select count(*) from pg_attribute where attname = 'departed_days' "
        "and attrelid = to_regclass('analytics.mart_suggestions_anomalies')"
    )
    if connection.execute(is_built).fetchone() == (0,):
        return []
    return [AnomalyEnded(*row) for row in connection.execute(ENDED_ANOMALIES)]
