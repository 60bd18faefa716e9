"""Vectors of platinum's texts."""

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from uuid import UUID

import psycopg
from psycopg import sql

from flows.scout.raw.database import SCHEMA_LOCK
from flows.scout.records import LayerMissingError, TextToEmbed
from flows.scout.rules import hash_text


def prepare_vectors(connection: psycopg.Connection, dimension: int, model: str) -> None:
    """Index and search functions for vectors of one dimension; vectors of other models go.

    Raises:
        LayerMissingError: platinum was not built yet.
    """
    built = connection.execute("select to_regclass('platinum.platinum_transaction_embeddings')")
    if built.fetchone() == (None,):
        raise LayerMissingError(
            "Preparing the search of transactions",
            "platinum.platinum_transaction_embeddings does not exist",
            "Build the layers first: prefect deployment run 'scout/scout-on-demand'",
        )
    statements = files("flows.scout").joinpath("vectors.sql").read_text()
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        others = connection.execute(
            "select 1 from platinum.transaction_embedding_vectors "
            "where model <> %s or vector_dims(embedding) <> %s limit 1",
            (model, dimension),
        )
        if others.fetchone():
            # Deleted rows would still be looked at by the index that is made below.
            connection.execute("truncate platinum.transaction_embedding_vectors")
        for (stale,) in connection.execute(
            """
            select indexname from pg_indexes
            where
                schemaname = 'platinum'
                and indexname like 'transaction_embedding_vectors_hnsw_%%'
                and indexname <> %s
            """,
            (f"transaction_embedding_vectors_hnsw_{dimension}",),
        ).fetchall():
            connection.execute(sql.SQL("drop index platinum.{}").format(sql.Identifier(stale)))
        connection.execute(statements.replace("{dimension}", str(dimension)).encode())


def texts_to_embed(
    connection: psycopg.Connection, after: UUID | None, limit: int
) -> list[TextToEmbed]:
    """Texts without a vector of their own, in order of their ids, from behind one of them."""
    rows = connection.execute(
        """
        select id, text from platinum.platinum_transaction_embeddings
        where embedding is null and (%(after)s::uuid is null or id > %(after)s)
        order by id
        limit %(limit)s
        """,
        {"after": after, "limit": limit},
    ).fetchall()
    return [TextToEmbed(*row) for row in rows]


def count_texts_to_embed(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select count(*) from platinum.platinum_transaction_embeddings where embedding is null"
    ).fetchone()
    assert row is not None
    return int(row[0])


def save_vectors(
    connection: psycopg.Connection,
    texts: Sequence[TextToEmbed],
    vectors: Sequence[Sequence[float]],
    model: str,
    embedded_at: datetime,
) -> None:
    """Write one batch in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into platinum.transaction_embedding_vectors as standing (
                id, text_hash, model, embedding, embedded_at
            ) values (%s, %s, %s, %s, %s)
            on conflict (id) do update
            set
                text_hash = excluded.text_hash,
                model = excluded.model,
                embedding = excluded.embedding,
                embedded_at = excluded.embedded_at
            """,
            [
                (each.id, hash_text(each.text), model, str(list(vector)), embedded_at)
                for each, vector in zip(texts, vectors, strict=True)
            ],
        )


def drop_vectors_out_of_window(connection: psycopg.Connection) -> int:
    """Remove vectors of transactions that platinum shows no more; how many they were."""
    return connection.execute(
        """
        delete from platinum.transaction_embedding_vectors as stored
        where
            not exists (
                select 1 from platinum.platinum_transaction_embeddings as shown
                where shown.id = stored.id
            )
        """
    ).rowcount
