"""A key that a mapping of YAML has twice is an error, and a value that holds itself; what YAML
itself merges is none."""

from pathlib import Path

import pytest
import yaml

from flows._shared.errors import PermanentError
from flows._shared.yaml_keys import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 1", 2),
        ("a: 1\n'a': 2", 2),
        ("a:\n- {b: 1, b: 2}", 2),
        ("1: a\n0x1: b", 2),
        ("yes: a\ntrue: b", 2),
        ("a: &x {b: 1}\nc: {<<: *x, <<: *x}", 2),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(yaml.YAMLError, match=f'(?s)stands there twice.*in "own.yaml", line {line}'):
        parse_yaml(text, "own.yaml")


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "&a {b: *a}", "a: &a {b: [c, {d: *a}]}", "a: 2026-13-45", "a: !!int b"]
)
def test_a_value_that_cannot_be_is_no_yaml(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text, "own.yaml")
    assert parse_yaml("a: &a [1]\nb: [*a, *a]", "") == {"a": [1], "b": [[1], [1]]}


def test_what_is_merged_may_be_set_anew_however_deep() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: [*b, *a], y: 3}\n"
    assert parse_yaml(text, "own.yaml")["c"] == {"x": 2, "y": 3}
    assert parse_yaml("", "") is None


@pytest.mark.parametrize("text", ["a: [", "a: *b", "a: \0", "{a: b: c}", "\ta: b", "a: !own b"])
def test_what_is_no_yaml_is_told_with_the_name_of_its_file(text: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(PermanentError) as refused:
        read_yaml(file)
    assert ' in "own.yaml", ' in refused.value.seen
    assert "unicode string" not in refused.value.seen
