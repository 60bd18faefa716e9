"""The smallest flow that is started by an event and reads the inbox exactly once."""

import json

import psycopg
from prefect import flow

from flows._shared.inbox import Position, read_deliveries
from flows._shared.orchestration.credentials import postgres_url

TABLES = """
create schema if not exists example;
create table if not exists example.orders (id text not null, loaded_at timestamptz default now());
create table if not exists example.consumed (
    one boolean primary key default true check (one), position jsonb not null
);
create or replace view example.orders_per_id as select id, count(*) from example.orders group by id
"""


@flow(name="webhooks-example")
def load_orders(database_block: str) -> int:
    """Load new orders; the position is committed together with the rows."""
    url = postgres_url(database_block)
    with psycopg.connect(url, autocommit=True) as inbox, psycopg.connect(url) as own:
        own.execute(TABLES)
        row = own.execute("select position from example.consumed for update").fetchone()
        position = Position.from_json(row[0]) if row else None
        loaded = 0
        for delivery in read_deliveries(inbox, "shop", position, kinds=["order"]):
            order = json.loads(delivery.body)["order"]["id"]
            own.execute("insert into example.orders (id) values (%s)", (str(order),))
            position = delivery.position
            loaded += 1
        if position and loaded:
            own.execute(
                "insert into example.consumed (position) values (%s) "
                "on conflict (one) do update set position = excluded.position",
                (json.dumps(position.to_json()),),
            )
    return loaded
