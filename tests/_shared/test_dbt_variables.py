"""Variables that a person gives reach SQL as they are: only such as can be no SQL."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

import pytest
import yaml
from pydantic import JsonValue

from flows._shared.orchestration.dbt.variables import (
    DAY,
    declared_variables,
    why_variables_refused,
)

PROJECTS = Path(__file__).parents[2] / "dbt_projects"
DOMAINS = ("agent_analytics", "github_scraper", "ledgermind", "quality_compass", "scout")
USED = re.compile(r"""(?<![\w.])var\(\s*["']+(\w+)["']+""")
NO_VALUES: tuple[JsonValue, ...] = (
    "x' or pg_sleep(9) is null or 'x",
    "1 or pg_sleep(9) is null",
    "2026-01-01' as date) or true or cast('2026-01-01",
    "x\\",
    "x -- y",
    "x; drop table y",
    "x /* y",
    "{{ env_var('HOME') }}",
    "x`y",
    'x"y',
    "x\ny",
    "$$x$$",
    "x" * 10_000,
    float("nan"),
    -1,
    {"a": 1},
    ["x', 'y"],
    [["x"]],
)
NO_DAYS: tuple[JsonValue, ...] = ("2026-02-30", "2026-13-01", "0000-01-01", "31.10.2026", 20261031)


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_variable_of_a_project_may_hold_sql(domain: str) -> None:
    declared = declared_variables(PROJECTS / domain)
    for name in declared:
        for value in NO_VALUES:
            assert why_variables_refused({name: value}, declared), (name, value)
        if name.endswith("_date") or DAY.fullmatch(str(declared[name])):
            assert why_variables_refused({name: "2028-02-29"}, declared) is None
            for value in NO_DAYS:
                told = str(why_variables_refused({name: value}, declared))
                assert "a day of the calendar such as" in told, (name, value)
    assert why_variables_refused(declared, declared) is None
    assert "no variable of that name" in str(why_variables_refused({"a'b": 1}, declared))


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_variable_that_a_project_uses_is_declared(domain: str) -> None:
    declared = declared_variables(PROJECTS / domain)
    for folder in (PROJECTS / domain, PROJECTS / "_shared"):
        for file in (*folder.rglob("*.sql"), *folder.rglob("*.yml")):
            if "dbt_packages" not in file.parts and "target" not in file.parts:
                assert set(USED.findall(file.read_text())) <= declared.keys(), file


MACRO = re.compile(r"\{%-?\s*macro (?:\w+?__)?(\w+)\((.*?)\{%-?\s*endmacro", re.DOTALL)
# What the table is made with; a unit test makes none.
CONFIG = re.compile(r"\{\{-?\s*config\(.*?\)\s*-?\}\}", re.DOTALL)
CALLED = re.compile(r"""(\w+)\(|dispatch\(["'](\w+)""")


def variables_read(text: str, macros: Mapping[str, str]) -> set[str]:
    """The variables of a text and of the macros that it calls, also through others."""
    read, left, known = set[str](), [text], set[str]()
    while left:
        part = left.pop()
        read.update(USED.findall(part))
        called = {name for names in CALLED.findall(part) for name in names} & macros.keys() - known
        known |= called
        left += [macros[name] for name in called]
    return read


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_unit_test_says_every_variable_that_its_model_reads(domain: str) -> None:
    """A run with another value of it would fail there, or leave the test out."""
    macros: dict[str, str] = {}
    for folder in (PROJECTS / domain / "macros", PROJECTS / "_shared" / "macros"):
        for file in folder.rglob("*.sql"):
            for name, body in MACRO.findall(file.read_text()):
                macros[name] = macros.get(name, "") + body
    models = PROJECTS / domain / "models"
    unsaid = {}
    for file in models.rglob("*.yml"):
        content = yaml.load(file.read_text(), Loader=yaml.CSafeLoader) or {}
        for each in content.get("unit_tests", ()):
            told = each.get("overrides") or {}
            replaced = {name.rpartition(".")[2] for name in told.get("macros") or {}}
            kept = {name: body for name, body in macros.items() if name not in replaced}
            model = CONFIG.sub("", next(models.rglob(f"{each['model']}.sql")).read_text())
            if missing := variables_read(model, kept) - (told.get("vars") or {}).keys():
                unsaid[each["name"]] = missing
    assert unsaid == {}


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_contract_or_test_repeats_what_a_variable_lists(domain: str) -> None:
    """A run with another list would fail there."""
    lists = [each for each in declared_variables(PROJECTS / domain).values() if _is_list(each)]
    for file in (PROJECTS / domain / "models").rglob("*.yml"):
        content = yaml.load(file.read_text(), Loader=yaml.CSafeLoader) or {}
        of_models = json.dumps({**content, "unit_tests": []})
        for each in lists:
            assert not all(word in of_models for word in each), (file, each)


def _is_list(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and len(value) > 2


def test_values_of_the_kind_that_is_declared_are_taken() -> None:
    scout = declared_variables(PROJECTS / "scout")
    good: dict[str, JsonValue] = {
        "as_of_date": "2026-10-31",
        "business_timezone": "Etc/GMT+8",
        "base_currency": "EUR",
        "categories": ["Reise & Hotel", "Büro"],
        "decimal_mark": ",",
        "minimum_silver_share": 0,
    }
    assert why_variables_refused(good, scout) is None
    refused = why_variables_refused({"decimal_mark": "'"}, scout)
    assert refused == (
        "the variable decimal_mark is to be words such as ., of letters, digits, spaces and "
        ". , : / @ + & # - _"
    )
