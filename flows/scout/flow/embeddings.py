"""Embedding the texts of platinum, a batch at a time."""

import time
from datetime import UTC, datetime
from itertools import count

from prefect import flow, get_run_logger, task

from flows._shared.orchestration.credentials import secret_value
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress
from flows.scout import raw
from flows.scout.flow.databases import prepare
from flows.scout.records import EmbeddingEndpoint, TextToEmbed
from flows.scout.rules import embed_by_hashing
from flows.scout.settings import EmbeddingSettings
from flows.scout.source.embeddings import (
    LOCAL_MODEL,
    embed_locally,
    endpoint_from,
    fetch_embeddings,
)


@task(
    task_run_name="embed-batch-{number}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_transient,
)
def embed_batch(
    number: int, texts: list[TextToEmbed], settings: EmbeddingSettings, model: str
) -> int:
    """Embed and store one batch; equal texts are sent once."""
    unique = sorted({each.text for each in texts})
    if endpoint := _endpoint(settings):
        vectors = fetch_embeddings(endpoint, unique, settings.length, settings.timeout_seconds)
    elif settings.is_local:
        vectors = embed_locally(unique)
    else:
        vectors = [embed_by_hashing(text, settings.length) for text in unique]
    by_text = dict(zip(unique, vectors, strict=True))
    with connect(settings.database_block) as connection:
        raw.save_vectors(
            connection, texts, [by_text[each.text] for each in texts], model, datetime.now(UTC)
        )
    return len(texts)


def _endpoint(settings: EmbeddingSettings) -> EmbeddingEndpoint | None:
    if settings.endpoint_block is None:
        return None
    return endpoint_from(secret_value(settings.endpoint_block))


@flow(name="scout-embeddings")
def embed(settings: EmbeddingSettings = EmbeddingSettings()) -> None:
    """Embed new and changed texts of platinum, a batch at a time.

    A batch that is stored stays stored: after a failure the next run begins where this one ended.

    Args:
        settings: The endpoint, the local model, or the stand-in that hashes words.
    """
    started = time.monotonic()
    endpoint = _endpoint(settings)
    if endpoint:
        model = endpoint.model
    elif settings.is_local:
        model = LOCAL_MODEL
    elif settings.use_hashing:
        model = f"hashing-{settings.length}"
    else:
        get_run_logger().warning(
            "No embeddings endpoint is configured (setting `endpoint_block`), `use_local_model` "
            "and `use_hashing` are off: nothing was embedded. Everything else of Scout works "
            "without."
        )
        return
    prepare(settings.database_block)
    progress = Progress("scout_embeddings")
    embedded = 0
    with connect(settings.database_block) as connection:
        raw.prepare_vectors(connection, settings.length, model)
        dropped = raw.drop_vectors_out_of_window(connection)
        total = raw.count_texts_to_embed(connection)
        texts = raw.texts_to_embed(connection, None, settings.batch_size)
        for number in count(1):
            progress.update("embed", embedded, total, embedded)
            if not texts:
                break
            embedded += embed_batch(number, texts, settings, model)
            texts = raw.texts_to_embed(connection, texts[-1].id, settings.batch_size)
    progress.flush()
    get_run_logger().info(
        "%s texts embedded with %s, %s vectors dropped in %.1f s",
        embedded,
        model,
        dropped,
        time.monotonic() - started,
    )
