"""How the tests are run: in any order, and all of them at night."""

import importlib.util
import re
from itertools import pairwise
from pathlib import Path

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from tests.conftest import shuffle

ROOT = Path(__file__).parents[2]


class Item:
    """What an order is made of: a test's file, its name, and whether its file tells a story."""

    def __init__(self, file: str, number: int, is_story: bool) -> None:
        self.path, self.number, self._is_story = Path(file), number, is_story

    def get_closest_marker(self, name: str) -> str | None:
        return name if self._is_story and name == "in_order" else None


def order(seed: str) -> list[tuple[str, int]]:
    items = [Item(file, n, file == "story") for file in ("a", "story", "c") for n in range(20)]
    shuffle(items, seed)  # type: ignore[arg-type]
    return [(item.path.name, item.number) for item in items]


def test_a_seed_gives_one_order_of_files_and_of_the_tests_of_each() -> None:
    drawn = [order(str(seed)) for seed in range(6)]
    assert drawn[0] == order("0")
    files = [[name for name, _ in each] for each in drawn]
    assert all(sum(a != b for a, b in pairwise(each)) == 2 for each in files)
    assert len({tuple(each) for each in files}) > 1
    numbers = {name: [n for file, n in drawn[0] if file == name] for name in ("a", "story", "c")}
    assert numbers["story"] == list(range(20))
    assert sorted(numbers["a"]) == list(range(20)) != numbers["a"] != numbers["c"]


@pytest.mark.parametrize("marker", ["exhaustive", "in_order"])
def test_what_does_not_always_run_or_needs_an_order_is_listed(marker: str) -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text()
    marked = [
        str(path.relative_to(ROOT / "tests"))
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(rf"mark\.{marker}\b|\bis_{marker}\b", path.read_text())
    ]
    assert marked
    assert [path for path in marked if path not in told] == []


def test_what_a_helper_asserts_is_told_as_what_a_test_asserts_is() -> None:
    asserting = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith(("test_", "conftest"))
        and re.search(r"^\s+assert\b", path.read_text(), re.MULTILINE)
    ]
    assert "tests.contracts" in asserting
    specs = {name: importlib.util.find_spec(name) for name in asserting}
    assert [
        name
        for name, spec in specs.items()
        if not (spec and isinstance(spec.loader, AssertionRewritingHook))
    ] == []
