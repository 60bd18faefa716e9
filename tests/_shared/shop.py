"""A shop's tables on PostgreSQL, and their copies on the BigQuery emulator."""

from typing import Any

import psycopg
import pytest
from google.cloud import bigquery

from flows._shared.bigquery_export import (
    CopiedTable,
    CopyDataset,
    ExportCounts,
    export_table,
    open_snapshot,
)
from flows._shared.orchestration.bigquery import BigQueryAccess

PROJECT = "ledgermind-ml-analytics"
THINGS = CopiedTable("shop", "things", ("region", "id"), "changed_at")
CREATE = """
create schema shop;
create type shop.colour as enum ('red', 'green');
create table shop.things (
    region text not null, id integer not null, name varchar(40), colour shop.colour,
    weight double precision, ratio real, price numeric(12, 4), is_sold boolean, sold_on date,
    made_at timestamp, changed_at timestamptz, attributes jsonb, token uuid, secret text,
    primary key (region, id)
);
insert into shop.things
select
    case when n % 3 = 0 then 'süd' else 'nord' end, n,
    case n % 4 when 0 then null when 1 then '' when 2 then E'two\\nlines, "quoted"' else 't' end,
    case when n % 5 > 0 then (array['red', 'green'])[1 + n % 2]::shop.colour end,
    n / 7.0, n / 7.0, n / 8.0, n % 2 = 0, date '2025-01-01' + n,
    timestamp '2025-01-01 00:00:00.123456' + n * interval '1 hour',
    timestamptz '2025-01-01 00:00:00.000001+02' + n * interval '1 minute',
    '{"b": [1, 2], "a": null}', md5(n::text)::uuid, 'hidden'
from generate_series(1, 500) as n;
insert into shop.things (region, id, weight, ratio) values ('nord', 0, 'NaN', 'Infinity');
"""


class Shop:
    def __init__(self, url: str, endpoint: str, dataset: str) -> None:
        self.url = url
        self.dataset = dataset
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BIGQUERY_EMULATOR_HOST", endpoint)
            self.client: bigquery.Client = BigQueryAccess(PROJECT, "US").client()
        self.copies = CopyDataset(self.client, dataset, "US")

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def is_waited_for(self) -> bool:
        """Whether somebody waits for a lock on a table."""
        with psycopg.connect(self.url) as connection:
            waiting = "select from pg_locks where locktype = 'relation' and not granted"
            return connection.execute(waiting).fetchone() is not None

    def is_left(self) -> bool:
        """Whether nobody else is connected."""
        others = "datname = current_database() and backend_type = 'client backend'"
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                f"select from pg_stat_activity where {others} and pid <> pg_backend_pid()".encode()
            )
            return found.fetchone() is None

    def copied(self, query: str) -> list[tuple[Any, ...]]:
        rows = self.client.query(query.format(things=f"{self.dataset}.things")).result()
        return [tuple(row.values()) for row in rows]

    def export(
        self, table: CopiedTable = THINGS, *, url: str | None = None, **options: Any
    ) -> ExportCounts:
        with open_snapshot(url or self.url) as connection:
            return export_table(connection, self.copies, table, **options)
