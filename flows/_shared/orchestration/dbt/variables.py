"""Variables of dbt that a person gives: of the kind that the project declares, and no SQL.

A project writes many of them into its statements as they are. What may be in one is therefore
decided here, at the one door to dbt, by what `vars` of its `dbt_project.yml` declares.
"""

import math
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import yaml
from pydantic import JsonValue

MOST_PARTS, LONGEST = 200, 200
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# Of one that is declared as null the name tells the kind.
OF_A_DAY = "_date"
# Nothing that ends a text, a name or a statement, calls a function or begins a comment.
WORDS = re.compile(rf"(?!.*--)[\w .,:/@+&#-]{{0,{LONGEST}}}")
# Those of the package that all projects have in common.
SHARED: Mapping[str, JsonValue] = {
    "brake_maximum_fall": 0.5,
    "brake_minimum_rows": 20,
    "brake_memory_days": 28,
}


def declared_variables(project_dir: Path) -> dict[str, JsonValue]:
    """The variables of a project with their defaults."""
    project = yaml.safe_load((project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    return {**SHARED, **(project.get("vars") or {})}


def why_variables_refused(
    given: Mapping[str, JsonValue], declared: Mapping[str, JsonValue]
) -> str | None:
    """What is wrong with the variables, which is not repeated; None where nothing is."""
    for name, value in given.items():
        if name not in declared:
            known = ", ".join(sorted(declared))
            return f"there is no variable {_shown(name)}; there are {known}"
        if not _fits(name, value, declared[name]):
            return f"the variable {name} is to be {_wanted(name, declared[name])}"
    return None


def _wanted(name: str, default: JsonValue) -> str:
    match default:
        case None if name.endswith(OF_A_DAY):
            return "a day of the calendar such as 2026-10-31, or null"
        case None:
            return "a number, or null"
        case bool():
            return "true or false"
        case int() | float():
            return f"a number such as {default}"
        case list():
            return f"a list of words such as {', '.join(map(str, default[:2]))}"
        case str() if DAY.fullmatch(default):
            return f"a day of the calendar such as {default}"
    return f"words such as {default}, of letters, digits, spaces and . , : / @ + & # - _"


def _fits(name: str, value: JsonValue, default: JsonValue) -> bool:
    match default:
        case None:
            is_of_kind = _is_day if name.endswith(OF_A_DAY) else _is_number
            return value is None or is_of_kind(value)
        case bool():
            return isinstance(value, bool)
        case int() | float():
            return _is_number(value)
        case list():
            return (
                isinstance(value, list)
                and len(value) <= MOST_PARTS
                and all(isinstance(each, str) and WORDS.fullmatch(each) for each in value)
            )
        case str() if DAY.fullmatch(default):
            return _is_day(value)
    return isinstance(value, str) and WORDS.fullmatch(value) is not None


def _is_number(value: JsonValue) -> bool:
    """A minus before a minus would begin a comment, and no variable means less than nothing."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and value >= 0


def _is_day(value: JsonValue) -> bool:
    if not isinstance(value, str) or not DAY.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _shown(name: str) -> str:
    return name if WORDS.fullmatch(name) else "of that name"
