"""What is read of LedgerMind's database and its marts."""

from datetime import date, timedelta

import psycopg

from flows.ledgermind.records import AnomalyEnded
from flows.ledgermind.source import ended_anomalies, new_anomalies

LAST = date(2026, 5, 20)


def test_an_anomaly_that_goes_on_is_told_however_long_before_the_first_build_it_began(
    database: str,
) -> None:
    ago = {
        # Went on till yesterday, with a day between that was not one.
        "events": {9: True, 8: False, 6: False, 5: False, 2: False},
        # Over for four days, and another before it.
        "accept_rate": {30: True, 6: True, 5: False, 4: False, 3: False},
        # Two that began in the last three days, and one long ago.
        "merchants": {20: True, 2: True, 0: True},
    }
    with psycopg.connect(database) as connection:
        connection.execute(
            "create schema analytics; create table analytics.mart_suggestions_anomalies "
            "(metric text, created_date date, observed float8, expected float8, owner text, "
            "is_anomaly boolean, is_new boolean)"
        )
        for metric, days in ago.items():
            for day in range(40):
                connection.execute(
                    "insert into analytics.mart_suggestions_anomalies "
                    "values (%s, %s, 0, 200, 'me', %s, %s)",
                    (metric, LAST - timedelta(days=day), day in days, days.get(day, False)),
                )
        told = [(each.metric, (LAST - each.day).days) for each in new_anomalies(connection)]
    assert told == [("events", 9), ("merchants", 2), ("merchants", 0)]


def test_the_end_of_an_anomaly_that_lasted_is_told_the_day_after(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert ended_anomalies(connection) == []
        connection.execute(
            "create schema analytics; create table analytics.mart_suggestions_anomalies "
            "(metric text, created_date date, is_anomaly boolean, departed_days bigint)"
        )
        for row in (
            ("accept_rate", LAST, False, 2),
            ("events", LAST, False, 60),
            ("merchants", LAST - timedelta(days=1), False, 60),
            ("tenants", LAST, True, 60),
        ):
            connection.execute(
                "insert into analytics.mart_suggestions_anomalies values (%s, %s, %s, %s)", row
            )
        assert ended_anomalies(connection) == [AnomalyEnded("events", LAST, 60)]
