"""Numbers with their nouns, as sentences say them."""

import pytest

from flows._shared.counted import failed_of, left_out


@pytest.mark.parametrize(
    ("failed", "total", "noun", "said"),
    [
        (1, 1, "", "1 failed, there were no others"),
        (2, 3, "", "2 failed, the others were loaded and built"),
        (2, 2, "source", "2 sources failed, there were no others"),
        (1, 2, "source", "1 source failed, the others were loaded and built"),
    ],
)
def test_others_are_named_where_there_are_some(
    failed: int, total: int, noun: str, said: str
) -> None:
    assert failed_of(failed, total, noun) == said


@pytest.mark.parametrize(
    ("models", "tests", "said"), [(0, 0, ""), (1, 0, "1 model"), (31, 1, "31 models, 1 test")]
)
def test_what_was_left_out_is_named_where_it_is_something(
    models: int, tests: int, said: str
) -> None:
    assert left_out(models, tests) == said
