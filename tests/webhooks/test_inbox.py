import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from flows._shared.inbox import Position, read_deliveries
from flows._shared.purged import of_names
from flows.webhooks.bodies import examine
from flows.webhooks.inbox import NewDelivery, Outcome, prepare_inbox, store
from flows.webhooks.persons import purge_person
from flows.webhooks.sources import SCOUT

RECEIVED = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


@pytest.fixture
def inbox(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        prepare_inbox(connection)
        yield connection


def delivery(name: str, body: bytes = b'{"a": 1}', **changes: Any) -> NewDelivery:
    made = NewDelivery(
        source="scout",
        kind="transactions",
        delivery_id=name,
        slug="scout",
        received_at=RECEIVED,
        content_type="application/json",
        body=body,
        payload=body.decode(errors="replace"),
    )
    return replace(made, **changes)


def ids(connection: psycopg.Connection[Any], after: Position | None = None) -> list[str]:
    return [each.delivery_id for each in read_deliveries(connection, "scout", after)]


def count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"select count(*) from webhooks.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_what_is_stored_is_read_byte_for_byte_in_its_order(
    inbox: psycopg.Connection[Any],
) -> None:
    raw = bytes(range(256))
    stored = [delivery("a"), delivery("b", raw, payload=None, kind="products")]
    assert store(inbox, stored) == [Outcome.STORED, Outcome.STORED]
    first, second = read_deliveries(inbox, "scout", None)
    assert (first.delivery_id, first.kind, first.received_at) == ("a", "transactions", RECEIVED)
    assert (second.delivery_id, second.body, second.content_type) == ("b", raw, "application/json")
    assert first.position < second.position
    assert ids(inbox, first.position) == ["b"]
    assert ids(inbox, Position.from_json(second.position.to_json())) == []
    assert [each.body for each in read_deliveries(inbox, "scout", None, ["products"])] == [raw]
    assert list(read_deliveries(inbox, "github", None)) == []


def test_preparing_twice_changes_nothing_and_no_inbox_reads_as_an_empty_one(
    inbox: psycopg.Connection[Any],
) -> None:
    store(inbox, [delivery("a")])
    prepare_inbox(inbox)
    assert ids(inbox) == ["a"]
    inbox.execute("drop schema webhooks cascade")
    assert ids(inbox) == []


def test_the_same_delivery_again_is_a_duplicate_and_told_once(
    inbox: psycopg.Connection[Any],
) -> None:
    again = delivery("a")
    assert store(inbox, [again, delivery("a"), delivery("b")]) == [
        Outcome.STORED,
        Outcome.DUPLICATE,
        Outcome.STORED,
    ]
    assert store(inbox, [again]) == [Outcome.DUPLICATE]
    assert ids(inbox) == ["a", "b"]
    assert count(inbox, "outbox") == 2


def test_another_body_under_the_same_id_is_a_conflict_that_is_kept_and_told_once(
    inbox: psycopg.Connection[Any],
) -> None:
    other = delivery("a", b'{"a": 2}')
    assert store(inbox, [delivery("a"), other]) == [Outcome.STORED, Outcome.CONFLICT]
    assert store(inbox, [other]) == [Outcome.CONFLICT]
    assert ids(inbox) == ["a"]
    kept = inbox.execute("select delivery_id, body from webhooks.conflicts").fetchall()
    assert kept == [("a", b'{"a": 2}')]
    told = inbox.execute("select event ->> 'event' from webhooks.outbox order by id").fetchall()
    assert told == [("scout.delivery.received",), ("scout.delivery.conflict",)]


def test_the_same_id_of_two_senders_is_two_deliveries(inbox: psycopg.Connection[Any]) -> None:
    assert store(inbox, [delivery("a"), delivery("a", source="github")]) == [Outcome.STORED] * 2


def test_json_that_postgres_cannot_hold_keeps_its_bytes_and_hinders_no_neighbour(
    inbox: psycopg.Connection[Any],
) -> None:
    poison = b'{"a": "\\u0000"}'
    huge = b"[" + b"9" * 200_000 + b"]"
    batch = [delivery("a"), delivery("b", poison), delivery("c", huge), delivery("d")]
    assert store(inbox, batch) == [Outcome.STORED] * 4
    assert [each.body for each in read_deliveries(inbox, "scout", None)] == [
        each.body for each in batch
    ]
    rows = inbox.execute("select payload is null from webhooks.deliveries order by id").fetchall()
    assert rows == [(False,), (True,), (True,), (False,)]


def test_numbers_that_postgres_cannot_write_out_are_kept_as_bytes_alone(
    inbox: psycopg.Connection[Any],
) -> None:
    long = b'{"by":"jane-d","a":[' + b",".join([b"1e-16383"] * 4_200) + b"]}"
    endpoint = SCOUT.endpoints[0]
    found = [examine(endpoint, {}, "application/json", body) for body in (long, b'{"a":1e-16383}')]
    store(inbox, [delivery(str(at), payload=each.payload) for at, each in enumerate(found)])
    store(inbox, [delivery("stored before", long)])
    purge_person(inbox, [of_names(("login:jane-d",), "purged-0123456789ab")], 0)
    rows = inbox.execute("select payload is null from webhooks.deliveries order by id").fetchall()
    assert rows == [(True,), (False,), (True,)]


def test_a_reader_never_passes_a_delivery_that_commits_late(
    inbox: psycopg.Connection[Any], database: str
) -> None:
    """The first writer holds its transaction open; the second would otherwise be read before it."""
    insert = (
        "insert into webhooks.deliveries (source, delivery_id, kind, received_at, content_type, "
        "headers, attributes, body, body_bytes, body_sha256) "
        "values ('scout', %s, 'transactions', now(), 'text/plain', '{}', '{}', 'x', 1, 'x')"
    )
    with psycopg.connect(database) as slow, ThreadPoolExecutor(1) as pool:
        slow.execute(insert, ("slow",))
        with psycopg.connect(database, autocommit=True) as quick:
            later = pool.submit(store, quick, [delivery("quick")])
            assert not later.done()
            assert ids(inbox) == []
            slow.commit()
            assert later.result(timeout=30) == [Outcome.STORED]
    assert ids(inbox) == ["slow", "quick"]


def test_readers_beside_many_writers_see_every_delivery_once_in_order(
    inbox: psycopg.Connection[Any], database: str
) -> None:
    writers, batches, size = 4, 25, 8
    is_over = threading.Event()

    def write(writer: int) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            for batch in range(batches):
                names = [f"{writer}-{batch}-{number}" for number in range(size)]
                store(connection, [delivery(name) for name in names])

    def read() -> list[str]:
        seen: list[str] = []
        position = None
        with psycopg.connect(database, autocommit=True) as connection:
            while True:
                is_last = is_over.is_set()
                for each in read_deliveries(connection, "scout", position):
                    position = each.position
                    seen.append(each.delivery_id)
                if is_last:
                    return seen

    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(read)
        for done in [pool.submit(write, writer) for writer in range(writers)]:
            done.result()
        is_over.set()
        seen = reader.result(timeout=60)
    assert seen == ids(inbox)
    assert len(set(seen)) == len(seen) == writers * batches * size


def test_a_long_transaction_elsewhere_in_the_cluster_holds_up_no_reader(
    inbox: psycopg.Connection[Any], database: str
) -> None:
    with psycopg.connect(database) as busy:
        busy.execute("create table build_of_hours (a int)")
        store(inbox, [delivery("a")])
        assert ids(inbox) == ["a"]


def test_bodies_are_read_a_few_megabytes_at_a_time(
    inbox: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows._shared.inbox.BATCH_BYTES", 100)
    bodies = [b"x" * length for length in (10, 95, 300, 1, 99, 1)]
    store(inbox, [delivery(str(at), body, payload=None) for at, body in enumerate(bodies)])
    fetched = []
    real = inbox.execute

    def spy(query: Any, parameters: Any = None) -> Any:
        if parameters and isinstance(parameters[0], list):
            fetched.append(sum(len(bodies[int(number) - 1]) for number in parameters[0]))
        return real(query, parameters)

    monkeypatch.setattr(inbox, "execute", spy)
    assert [each.body for each in read_deliveries(inbox, "scout", None)] == bodies
    assert fetched == [10, 95, 300, 100, 1]
