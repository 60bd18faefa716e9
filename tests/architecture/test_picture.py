"""The page of the architecture shows the imports there are, and names what there is."""

import importlib
import re

import pytest

from tests.architecture.picture import PAGE, arrows, drawn, floors, page_with


def test_the_picture_of_the_page_is_that_of_the_imports() -> None:
    assert page_with(drawn(arrows())) == PAGE.read_text(encoding="utf-8"), (
        "draw it anew: .venv/bin/python -m tests.architecture.picture"
    )


def test_an_arrow_upwards_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="a, b"):
        floors({"a": {"b"}, "b": {"a"}, "c": set()})


def test_an_arrow_that_others_imply_is_left_out() -> None:
    picture = drawn({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    assert re.findall(r"(\w) --> (\w)", picture) == [("a", "b"), ("b", "c")]


def test_every_function_that_the_page_follows_is_there() -> None:
    named = re.findall(r"`((?:flows|blocks|deployments)\.[\w.]+)`", PAGE.read_text())
    assert len(named) > 15
    for name in named:
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            for part in parts[length:]:
                found = getattr(found, part)
            break
        else:
            raise AssertionError(f"there is no {name}")
