"""A document that is no JSON as a whole is taken apart, whatever stands in it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.quality_compass.rules.torn import MOST_BROKEN, torn_elements

PARTS = ["{", "}", "[", "]", ",", ":", '"a"', '{"a": 1}', '"', "\\", "1", " ", "\n", "é"]


@given(
    start=st.sampled_from(["[", '{"m": 1, "entity_results": [', '{"m": 1, "entity_results"']),
    parts=st.lists(st.sampled_from(PARTS), max_size=12),
)
def test_each_part_stands_in_one_element_and_in_its_order(start: str, parts: list[str]) -> None:
    text = start + "".join(parts)
    elements = list(torn_elements(text))
    if text.startswith("{") and elements[0] != text:
        assert elements.pop(0) == '{"m": 1}'
    places = [0]
    for each in elements:
        places.append(text.index(each, places[-1]) + len(each))
    assert all(begin < end for begin, end in pairwise(places))
    assert '{"a": 1}' not in parts or '{"a": 1}' in "".join(elements)


@pytest.mark.parametrize("element", ['{"a": 1 2}', '{"a', '{"a": [1}', "{{", "]{", "}"])
def test_of_many_broken_elements_the_last_goes_on_to_the_end(element: str) -> None:
    whole = [json.dumps({"a": number}) for number in range(100)]
    text = f"[{','.join([*whole, *[element] * 200_000])}]"
    assert 101 <= sum(1 for _ in torn_elements(text)) <= 100 + MOST_BROKEN
