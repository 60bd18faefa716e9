"""Deliveries of the webhook inbox: each is loaded once, and what cannot be read is kept."""

import json
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from flows._shared.inbox import Delivery, Position, read_deliveries
from flows.scout import raw
from flows.scout.raw import loading
from flows.scout.records import DeliveredRow, DeliveryCounts, Payload, Quarantined
from flows.scout.source import read_delivery
from flows.webhooks.inbox import NewDelivery, prepare_inbox, store
from tests.contracts import typed_by_owners
from tests.databases import everything_of

RECEIVED = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def delivery(name: str, body: bytes, kind: str = "transactions") -> NewDelivery:
    return NewDelivery(
        source="scout",
        kind=kind,
        delivery_id=name,
        slug="scout",
        received_at=RECEIVED,
        content_type="application/json",
        body=body,
    )


def rows(body: bytes) -> list[DeliveredRow]:
    return list(read_delivery(Delivery(Position(1), "d", "scout", "transactions", NOW, "", body)))


@pytest.mark.parametrize(
    ("body", "payloads"),
    [
        (b'{"transaction_id": "A", "amount": 12.50}', ['{"transaction_id": "A", "amount": 12.50}']),
        (b'\xef\xbb\xbf[{"a": 1},\n {"a": 2}]', ['{"a": 1}', '{"a": 2}']),
        (b'{"data": [{"a": 1}, 7], "sent_by": "till 3"}', ['{"a": 1}', "7"]),
        (b' {"count": 2, "records":\n[1e2 ,{"a": [2]}]} \n', ["1e2", '{"a": [2]}']),
        (b'{"transaction_id": "A", "items": [1]}', ['{"transaction_id": "A", "items": [1]}']),
        (b'{"data": [1], "records": [2]}', ['{"data": [1], "records": [2]}']),
        (b'{"data": {"a": 1}}', ['{"data": {"a": 1}}']),
        (b'{"a": 1}\n{"a": 2}\n', ['{"a": 1}', '{"a": 2}']),
        (b"[]", []),
        (b'{"data": []}', []),
    ],
)
def test_one_object_a_list_and_a_list_in_a_wrapper_are_payloads_as_they_came(
    body: bytes, payloads: list[str]
) -> None:
    read = rows(body)
    assert [row.json.decode() for row in read if isinstance(row, Payload)] == payloads
    assert len(read) == len(payloads)


@pytest.mark.parametrize(
    ("body", "good", "quarantined"),
    [
        (b"", 0, [(1, "empty_delivery")]),
        (b" \n ", 0, [(1, "empty_delivery")]),
        (b"\xff\xfe", 0, [(1, "undecodable_bytes")]),
        (b"amount=5", 0, [(1, "invalid_json")]),
        (b'{"data":\n[{"a": 1},\n oops]}', 1, [(3, "invalid_json")]),
        (b'[{"a": 1}, {"a": NaN}]', 1, [(1, "invalid_json")]),
        (b'{"data": [{"a": "\\u0000"}, {"a": 1}]}', 1, [(1, "unstorable_character")]),
        (b'{"data": [{"a": 1}], "data": [{"a": 2}]}', 0, [(1, "duplicate_name")]),
        (b'{"of": 1, "data": [{"a": 1, "a": 2}, {"a": 3}], "of": 2}', 1, [(1, "duplicate_name")]),
        (b"[" * 3000 + b"]" * 3000, 0, [(1, "too_deep")]),
    ],
)
def test_poison_costs_no_more_than_itself_and_has_its_reason(
    body: bytes, good: int, quarantined: list[tuple[int, str]]
) -> None:
    read = rows(body)
    assert sum(isinstance(row, Payload) for row in read) == good
    bad = [(row.line_number, row.reason) for row in read if isinstance(row, Quarantined)]
    assert bad == quarantined


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        prepare_inbox(connection)
        yield connection


def load(database: str, kinds: tuple[str, ...] = ("transactions", "products")) -> DeliveryCounts:
    """As the flow does it, with connections of its own."""
    total = DeliveryCounts(are_more=True)
    with psycopg.connect(database, autocommit=True) as inbox:

        def read(after: Position | None) -> Iterator[tuple[Delivery, Iterable[DeliveredRow]]]:
            for each in read_deliveries(inbox, "scout", after, kinds):
                yield each, read_delivery(each)

        with psycopg.connect(database, autocommit=True) as own:
            while total.are_more:
                total += raw.load_deliveries(own, "webhook_1", NOW, read)
    return total


def test_deliveries_land_once_with_their_ids_and_poison_beside_them(
    connection: psycopg.Connection[Any], database: str
) -> None:
    store(
        connection,
        [
            delivery(
                "one", b'{"transaction_id": "A", "amount": 12.50, "note": "a\\\\b\\n\\u00e9"}'
            ),
            delivery("bad", b'{"transaction_id": \xff'),
            delivery("list", b'[{"transaction_id": "B"}, "text"]'),
            delivery("goods", b'{"products": [{"sku": "S"}]}', kind="products"),
            delivery("again", b'{"layer": "silver"}', kind="refresh"),
            delivery("torn", b'[{"transaction_id": "C"}, {'),
        ],
    )

    assert load(database) == DeliveryCounts(5, transactions=4, products=1, rows_quarantined=2)
    assert load(database) == DeliveryCounts()
    found = connection.execute(
        """
        select raw_data, source, source_filename, ingested_at, ingestion_batch_id, file_id
        from scout.raw_transaction_ingestion order by id
        """
    ).fetchall()
    assert [row[0] for row in found] == [
        {"transaction_id": "A", "amount": 12.5, "note": "a\\b\né"},
        {"transaction_id": "B"},
        "text",
        {"transaction_id": "C"},
    ]
    assert [row[2] for row in found] == ["one", "list", "list", "torn"]
    assert {(row[1], *row[3:]) for row in found} == {("webhook", RECEIVED, "webhook_1", None)}
    assert connection.execute("select raw_data from scout.raw_product_ingestion").fetchall() == [
        ({"sku": "S"},)
    ]
    assert connection.execute(
        "select delivery_id, reason, file_id from scout.raw_ingestion_quarantine order by id"
    ).fetchall() == [("bad", "undecodable_bytes", None), ("torn", "invalid_json", None)]
    assert connection.execute(
        "select deliveries, rows_loaded, rows_quarantined from scout.inbox_progress"
    ).fetchall() == [(5, 5, 2)]


def test_a_load_that_breaks_off_leaves_nothing_and_the_next_loads_it_once(
    connection: psycopg.Connection[Any], database: str
) -> None:
    store(connection, [delivery(f"d{n}", b'{"transaction_id": "A"}') for n in range(3)])

    def breaking(after: Position | None) -> Iterator[tuple[Delivery, Iterable[DeliveredRow]]]:
        for each in read_deliveries(connection, "scout", after):
            yield each, read_delivery(each)
            raise OSError("the machine went away")

    with (
        psycopg.connect(database, autocommit=True) as own,
        pytest.raises(OSError, match="went away"),
    ):
        raw.load_deliveries(own, "webhook_1", NOW, breaking)

    assert load(database).transactions == 3
    assert count(connection) == 3


def test_loads_at_the_same_time_take_each_delivery_once(
    connection: psycopg.Connection[Any], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "DELIVERIES_PER_LOAD", 7)
    bodies = [json.dumps({"transaction_id": f"T{n}"}).encode() for n in range(200)]
    store(connection, [delivery(f"d{n}", body) for n, body in enumerate(bodies)])
    taken: list[int] = []
    loaders = [
        threading.Thread(target=lambda: taken.append(load(database).transactions)) for _ in range(4)
    ]
    for each in loaders:
        each.start()
    for each in loaders:
        each.join()
    assert sum(taken) == 200
    assert count(connection) == 200
    assert connection.execute(
        "select count(distinct raw_data) from scout.raw_transaction_ingestion"
    ).fetchone() == (200,)


def count(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select count(*) from scout.raw_transaction_ingestion").fetchone()
    assert row is not None
    return int(row[0])


def test_whom_the_owner_of_the_database_purges_is_in_no_raw_row(
    connection: psycopg.Connection[Any], database: str
) -> None:
    store(
        connection,
        [
            delivery("one", b'[{"employee_id": " E-17", "note": "by\\nJANE@example.org\\t"}, 17]'),
            delivery("two", b'{"employee_id": "E-170", "by": {"jane@example.org": 1}}'),
            delivery("torn", b'{"employee_id": "E-17", "by": "jane@example.org'),
            delivery("jane@example.org", b'{"sku": "S", "x": "jane@example.org"}', "products"),
        ],
    )
    load(database)
    connection.execute(typed_by_owners("scout.raw_files").encode())
    rows = connection.execute(
        "select raw_data from scout.raw_transaction_ingestion order by id"
    ).fetchall()
    assert rows == [
        ({"employee_id": "purged-1", "note": "by\npurged\t"},),
        (17,),
        ({"employee_id": "E-170", "by": {"purged": 1}},),
    ]
    raw_tables = {n: rows for n, rows in everything_of(connection).items() if "scout.raw" in n}
    assert len(raw_tables) == 4
    text = str(raw_tables).lower().replace("e-170", "")
    assert [name for name in ("jane@", "e-17") if name in text] == []
