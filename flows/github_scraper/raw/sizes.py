"""How much room raw tables and marts take, and how much they took before."""

from datetime import date

import psycopg

from flows.github_scraper.records import DaySize, TableSize

# From the catalogue alone: no table is read.
MEASURE = """
select
    relnamespace::regnamespace::text,
    relname,
    pg_total_relation_size(oid)
from pg_class
where
    relkind in ('r', 'm')
    and relnamespace = any(array[
        to_regnamespace('public'), to_regnamespace('github_api'), to_regnamespace('analytics')
    ]::oid [])
order by 3 desc, 1, 2
"""
REMEMBER = """
insert into public.database_sizes (measured_on, bytes) values (%s, %s)
on conflict (measured_on) do update set bytes = excluded.bytes
"""


def measure_tables(connection: psycopg.Connection) -> list[TableSize]:
    """Each table with its indexes and long values, the largest first."""
    return [TableSize(*row) for row in connection.execute(MEASURE)]


def remember_size(connection: psycopg.Connection, day: date, size: int) -> None:
    """Keep the size of a day; a later measurement of the same day takes its place."""
    connection.execute(REMEMBER, (day, size))


def remembered_sizes(connection: psycopg.Connection, since: date) -> list[DaySize]:
    """From the oldest day to the newest."""
    rows = connection.execute(
        "select measured_on, bytes from public.database_sizes "
        "where measured_on >= %s order by measured_on",
        (since,),
    )
    return [DaySize(*row) for row in rows]
