"""The search of transactions by their vectors, over layers as far as it reads them."""

from collections.abc import Iterator

import psycopg
import pytest

from flows.scout import raw

TRANSACTIONS = 2_000
LAYERS = """
create schema silver;
create table silver.silver_validated_transactions as
select
    cast(md5(cast(number as text)) as uuid) as id, cast(number as text) as transaction_id,
    date '2026-11-01' as transaction_date, 'V' as vendor_name, 'Meals' as category,
    'PHP' as currency, cast(number as numeric) as amount, 'x' as description
from generate_series(1, %(transactions)s) as number;

insert into platinum.transaction_embedding_vectors (id, text_hash, model, embedding, embedded_at)
select
    id, md5(transaction_id), 'm', cast(array[cos(amount / 1e3), sin(amount / 1e3), 0] as vector),
    now()
from silver.silver_validated_transactions;

create table platinum.platinum_transaction_embeddings as
select id, transaction_id, case when amount <> 3 then embedding end as embedding
from silver.silver_validated_transactions
inner join platinum.transaction_embedding_vectors using (id)
where amount < 1500;
"""


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        layers = LAYERS.replace("%(transactions)s", str(TRANSACTIONS))
        connection.execute(layers.encode())
        raw.prepare_vectors(connection, 3, "m")
        connection.execute("analyze platinum.transaction_embedding_vectors")
        connection.execute("set enable_seqscan = off")
        yield connection


def similar(connection: psycopg.Connection, to: int, neighbours: int) -> list[int]:
    rows = connection.execute(
        "select transaction_id from platinum.similar_transactions(%s, %s)", (str(to), neighbours)
    ).fetchall()
    return [int(transaction) for (transaction,) in rows]


@pytest.mark.parametrize("neighbours", [5, 100, 480, 900])
def test_as_many_neighbours_are_found_as_are_asked_for(
    connection: psycopg.Connection, neighbours: int
) -> None:
    found = similar(connection, 2_000, neighbours)
    assert found == list(range(1_999, 1_999 - neighbours, -1))


def test_a_vector_of_a_text_that_has_changed_answers_nothing(
    connection: psycopg.Connection,
) -> None:
    assert similar(connection, 1, 3) == [2, 4, 5]
    assert similar(connection, 3, 3) == []


def test_a_search_leaves_settings_as_they_were(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute("set local hnsw.ef_search = 77")
        similar(connection, 1, 600)
        settings = "select current_setting('hnsw.ef_search'), current_setting('enable_indexscan')"
        assert connection.execute(settings).fetchone() == ("77", "on")
