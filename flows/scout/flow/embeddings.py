"""Embedding the texts of platinum, a batch at a time."""

import time
from datetime import UTC, datetime
from itertools import count

from prefect import flow, get_run_logger, task

from flows._shared.counted import counted
from flows._shared.orchestration.credentials import secret_value
from flows._shared.orchestration.database import connect
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress
from flows.scout import raw
from flows.scout.flow.databases import prepare
from flows.scout.records import (
    EmbeddedTexts,
    EmbeddingEndpoint,
    Embeddings,
    EmbeddingsRefusedError,
    TextsRefusedError,
    TextToEmbed,
)
from flows.scout.rules import embed_by_hashing
from flows.scout.settings import EmbeddingSettings
from flows.scout.source.embeddings import (
    LOCAL_MODEL,
    embed_locally,
    endpoint_from,
    fetch_embeddings,
)

HARMLESS = "On 2026-01-01 paid Somebody for Meals: PHP 100.00. lunch"


@task(
    task_run_name="embed-batch-{number}",
    retries=3,
    retry_delay_seconds=[2, 10, 60],
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_transient,
)
def embed_batch(
    number: int, texts: list[TextToEmbed], settings: EmbeddingSettings, model: str
) -> EmbeddedTexts:
    """Embed and store one batch; equal texts are sent once, stored ones not again.

    A batch that is refused is halved until the texts are found for which there is no vector.
    """
    with connect(settings.database_block) as connection:
        texts = raw.still_to_embed(connection, model, texts)
        parts = [sorted({each.text for each in texts})] if texts else []
        reasons: dict[str, str] = {}
        embedded = 0
        while parts:
            part = parts.pop()
            try:
                answer = _embeddings(part, settings, model)
            except TextsRefusedError as error:
                if len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                if not reasons:
                    # One that takes no text at all refuses none of these.
                    _embeddings([HARMLESS], settings, model)
                reasons[part[0]] = str(error)
                continue
            raw.require_one_model(connection, model, answer.model)
            by_text = dict(zip(part, answer.vectors, strict=True))
            of_part = [each for each in texts if each.text in by_text]
            vectors = [by_text[each.text] for each in of_part]
            raw.save_vectors(connection, of_part, vectors, model, answer.model, datetime.now(UTC))
            embedded += len(of_part)
        refused = [(each, reasons[each.text]) for each in texts if each.text in reasons]
        raw.save_refusals(connection, refused, model, datetime.now(UTC))
    return EmbeddedTexts(embedded, len(refused))


def _embeddings(texts: list[str], settings: EmbeddingSettings, model: str) -> Embeddings:
    if endpoint := _endpoint(settings):
        if endpoint.model != model:
            raise EmbeddingsRefusedError(
                f"Embedding {counted(len(texts), 'text')} with {model}",
                f"the block names {endpoint.model} since this run began",
                "Start the run again",
            )
        return fetch_embeddings(endpoint, texts, settings.length, settings.timeout_seconds)
    if settings.is_local:
        return Embeddings(embed_locally(texts))
    return Embeddings([embed_by_hashing(text, settings.length) for text in texts])


def _endpoint(settings: EmbeddingSettings) -> EmbeddingEndpoint | None:
    if settings.endpoint_block is None:
        return None
    return endpoint_from(secret_value(settings.endpoint_block))


@flow(name="scout-embeddings", flow_run_name=RunName("scout platinum vectors, to {now}"))
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
    embedded = refused = 0
    with connect(settings.database_block) as connection:
        if settings.embed_anew or raw.holds_vectors_of_others(connection, settings.length, model):
            # What is stored stays until the one that is to take its place has answered.
            _embeddings([HARMLESS], settings, model)
        raw.prepare_vectors(connection, settings.length, model, settings.embed_anew)
        dropped = raw.drop_vectors_out_of_window(connection)
        total = raw.count_texts_to_embed(connection, model)
        texts = raw.texts_to_embed(connection, model, None, settings.batch_size)
        for number in count(1):
            progress.update("embed", embedded + refused, total, embedded)
            if not texts:
                break
            batch = embed_batch(number, texts, settings, model)
            embedded += batch.embedded
            refused += batch.refused
            texts = raw.texts_to_embed(connection, model, texts[-1].id, settings.batch_size)
    progress.flush()
    if refused:
        get_run_logger().warning(
            "%s gives no vector for %s texts: scout.embedding_refusals has their ids and why. They "
            "are sent again in a week, or when they change.",
            model,
            refused,
        )
    get_run_logger().info(
        "%s texts embedded with %s, %s vectors dropped in %.1f s",
        embedded,
        model,
        dropped,
        time.monotonic() - started,
    )
