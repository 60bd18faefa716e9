"""How sentences are made of numbers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from flows._shared.counted import counted

ROOT = Path(__file__).parents[2]
FOLDERS = ("flows", "deployments", "blocks")
# What stands behind a number as a noun of several. Of units there is never one.
PLURAL = re.compile(
    r" (?:(?:more|other) )?(?!bytes|characters|digits|seconds|has\b|is\b)([a-z]+s)\b"
)
# A constant, or checked to be more than one.
ALWAYS_MORE = {
    "{MAX_MEMBERS} files",
    "{count} automations",
    "{count} deployments",
    "{count} schedules",
    "{len(DOMAINS)} projects",
    "{len(claims)} folders",
    "{len(comparisons)} tables",
}


def plurals(path: Path) -> Iterator[str]:
    """Numbers that are told in f-strings with a noun that would be wrong behind a 1."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)):
                continue
            noun = PLURAL.match(str(text.value))
            if noun and _is_number(value):
                yield f"{{{ast.unparse(value.value)}}} {noun[1]}"


def _is_number(value: ast.FormattedValue) -> bool:
    told = ast.unparse(value.value)
    has_thousands = value.format_spec is not None and "," in ast.unparse(value.format_spec)
    return (
        has_thousands
        or bool(re.match(r"(?:len|sum)\(", told))
        or told in ("count", "apart", "many")
    )


def test_one_of_something_is_told_as_one() -> None:
    assert [counted(many, "row") for many in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
    assert counted(1, "row is", "rows are") == "1 row is"
    wrong = {
        f"{path.relative_to(ROOT)}: {told}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for told in plurals(path)
        if told not in ALWAYS_MORE
    }
    assert wrong == set(), "say it by flows._shared.counted"
