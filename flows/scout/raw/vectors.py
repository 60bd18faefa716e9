"""Vectors of platinum's texts."""

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from uuid import UUID

import psycopg
from psycopg import sql

from flows._shared.raw_tables import change_tables
from flows.scout.raw.database import SCHEMA_LOCK
from flows.scout.records import EmbeddingsRefusedError, LayerMissingError, TextToEmbed
from flows.scout.rules import hash_text

# A text is without a vector of its own, and was not refused lately.
TO_EMBED = """
from platinum.platinum_transaction_embeddings as shown
where
    embedding is null
    and not exists (
        select 1 from scout.embedding_refusals as refused
        where
            refused.id = shown.id
            and refused.text_hash = md5(shown.text)
            and refused.model = %(model)s
            and refused.refused_at > now() - interval '7 days'
    )
"""


def holds_vectors_of_others(connection: psycopg.Connection, dimension: int, model: str) -> bool:
    """Whether the stored vectors are of another model or dimension, and would have to go."""
    others = connection.execute(
        "select 1 from platinum.transaction_embedding_vectors "
        "where model <> %s or vector_dims(embedding) <> %s limit 1",
        (model, dimension),
    )
    return others.fetchone() is not None


def prepare_vectors(
    connection: psycopg.Connection, dimension: int, model: str, is_anew: bool = False
) -> None:
    """Index and search functions for vectors of one dimension; vectors of other models go.

    Args:
        is_anew: all vectors go, and what is known of refused texts.

    Raises:
        LayerMissingError: platinum was not built yet.
        RawTablesLockedError: another session holds the vectors; nothing was changed.
    """
    built = connection.execute("select to_regclass('platinum.platinum_transaction_embeddings')")
    if built.fetchone() == (None,):
        raise LayerMissingError(
            "Preparing the search of transactions",
            "platinum.platinum_transaction_embeddings does not exist",
            "Build the layers first: prefect deployment run 'scout/scout-on-demand'",
        )
    statements = files("flows.scout").joinpath("vectors.sql").read_text()

    def prepare() -> None:
        if is_anew:
            connection.execute("delete from scout.embedding_refusals")
        if is_anew or holds_vectors_of_others(connection, dimension, model):
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

    change_tables(
        connection,
        "the search of transactions",
        SCHEMA_LOCK,
        ("platinum.transaction_embedding_vectors",),
        prepare,
    )


def texts_to_embed(
    connection: psycopg.Connection, model: str, after: UUID | None, limit: int
) -> list[TextToEmbed]:
    """Texts without a vector of their own, in order of their ids, from behind one of them."""
    rows = connection.execute(
        f"select id, text {TO_EMBED} and (%(after)s::uuid is null or id > %(after)s) "
        "order by id limit %(limit)s",
        {"model": model, "after": after, "limit": limit},
    ).fetchall()
    return [TextToEmbed(*row) for row in rows]


def still_to_embed(
    connection: psycopg.Connection, model: str, texts: Sequence[TextToEmbed]
) -> list[TextToEmbed]:
    """Those of some texts that nobody has stored meanwhile."""
    rows = connection.execute(
        f"select id, text {TO_EMBED} and id = any(%(ids)s)",
        {"model": model, "ids": [each.id for each in texts]},
    ).fetchall()
    return [TextToEmbed(*row) for row in rows]


def count_texts_to_embed(connection: psycopg.Connection, model: str) -> int:
    row = connection.execute(f"select count(*) {TO_EMBED}", {"model": model}).fetchone()
    assert row is not None
    return int(row[0])


def require_one_model(connection: psycopg.Connection, model: str, answered: str | None) -> None:
    """See that an answer comes from the model that gave the stored vectors.

    Raises:
        EmbeddingsRefusedError: the name in the block has come to mean another model.
    """
    if answered is None:
        return
    row = connection.execute(
        "select answered_model from platinum.transaction_embedding_vectors "
        "where answered_model is not null limit 1"
    ).fetchone()
    if row and row[0] != answered:
        raise EmbeddingsRefusedError(
            f"Embedding with {model}",
            f"{answered} answers to that name now; the stored vectors are of {row[0]}",
            "Vectors of two models do not compare. Name in the block the model that you want, or "
            "embed everything anew with the setting `embed_anew`",
        )


def save_refusals(
    connection: psycopg.Connection,
    refused: Sequence[tuple[TextToEmbed, str]],
    model: str,
    refused_at: datetime,
) -> None:
    """Remember for which texts there is no vector, and why."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into scout.embedding_refusals (id, text_hash, model, reason, refused_at)
            values (%s, %s, %s, %s, %s)
            on conflict (id) do update
            set
                text_hash = excluded.text_hash,
                model = excluded.model,
                reason = excluded.reason,
                refused_at = excluded.refused_at
            """,
            [
                # PostgreSQL stores no character zero.
                (each.id, hash_text(each.text), model, why.replace("\0", ""), refused_at)
                for each, why in refused
            ],
        )


def save_vectors(
    connection: psycopg.Connection,
    texts: Sequence[TextToEmbed],
    vectors: Sequence[Sequence[float]],
    model: str,
    answered: str | None,
    embedded_at: datetime,
) -> None:
    """Write one batch in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into platinum.transaction_embedding_vectors as standing (
                id, text_hash, model, answered_model, embedding, embedded_at
            ) values (%s, %s, %s, %s, %s, %s)
            on conflict (id) do update
            set
                text_hash = excluded.text_hash,
                model = excluded.model,
                answered_model = excluded.answered_model,
                embedding = excluded.embedding,
                embedded_at = excluded.embedded_at
            """,
            [
                (each.id, hash_text(each.text), model, answered, str(list(vector)), embedded_at)
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
