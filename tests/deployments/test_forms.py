"""What a person meets who starts a run by hand: its form, and afterwards its name."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import signature
from typing import Any

import pytest

from deployments.apply.files import Declared, declared
from deployments.apply.forms import readable, title_of
from flows._shared.orchestration.naming import RunName

NOW = datetime(2026, 11, 29, 3, 5, tzinfo=UTC)
# What a number may be of: a unit of measure, or things that are counted.
UNITS = re.compile(
    r"seconds|minutes|hours?|days?|months|bytes|gigabytes|USD|part of|share|score|weight|z-score"
    r"|rows|commits|repositories|texts|vectors|nodes|threads|versions|payloads|events|facilities"
    r"|developers|peers|encounters|disagreements|points|number of|seed|spread|slope|trend|"
    r"difference|deviation",
    re.IGNORECASE,
)


@pytest.fixture(scope="module", name="all_declared")
def _all_declared(request: pytest.FixtureRequest) -> list[Declared]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_WORK_POOL", "local")
        patch.setenv("PREFECT_SCHEDULES_ACTIVE", "false")
        return declared()


def fields(each: Declared) -> Iterator[tuple[str, str, dict[str, Any]]]:
    schema = each.body["parameter_openapi_schema"]
    for name, field in schema["properties"].items():
        yield each.name, name, field
    for group, defined in schema["definitions"].items():
        for name, field in defined.get("properties", {}).items():
            yield f"{each.name}, {group}", name, field


def is_number(field: dict[str, Any]) -> bool:
    kinds = [field, *field.get("anyOf", [])]
    return any(kind.get("type") in ("number", "integer") for kind in kinds)


def test_every_field_says_what_it_does_and_in_which_unit(all_declared: list[Declared]) -> None:
    looked_at = 0
    for each in all_declared:
        for where, name, field in fields(each):
            looked_at += 1
            description, title = str(field.get("description") or ""), str(field.get("title") or "")
            assert len(description.split()) >= 4, f"{where}: {name} says too little: {description}"
            assert description.endswith("."), f"{where}: {name}"
            assert title, f"{where}: {name}"
            assert "_" not in title, f"{where}: {name}"
            if is_number(field):
                assert UNITS.search(f"{title} {description}"), f"{where}: {name} has no unit"
    assert looked_at > 300


def test_a_form_begins_with_what_is_turned_and_ends_with_samples(
    all_declared: list[Declared],
) -> None:
    for each in all_declared:
        schema = each.body["parameter_openapi_schema"]
        for group in [schema, *schema["definitions"].values()]:
            by_place = sorted(
                group.get("properties", {}).items(), key=lambda field: field[1]["position"]
            )
            names = [name for name, _ in by_place]
            samples = [name for name in names if name.startswith("sample")]
            assert names[len(names) - len(samples) :] == samples
        top = sorted(schema["properties"], key=lambda name: schema["properties"][name]["position"])
        assert top[-2:] == ["settings", "dbt"] or top[-1] == "settings" or "settings" not in top


def test_titles_are_words_with_their_unit() -> None:
    assert title_of("lock_timeout_seconds") == "Lock timeout (seconds)"
    assert title_of("monthly_budget_usd") == "Monthly budget (USD)"
    assert title_of("github_block") == "GitHub block"
    assert title_of("days") == "Days"
    given = {"properties": {"a_b": {"description": "One\ntwo.", "position": 0}}, "type": "object"}
    assert readable(given)["properties"]["a_b"] == {
        "title": "A b",
        "description": "One two.",
        "position": 0,
    }


def test_a_name_says_domain_layer_and_window(all_declared: list[Declared]) -> None:
    for each in all_declared:
        name = each.flow.flow_run_name
        assert isinstance(name, RunName), each.name
        asked = {"mart": "fct_signals", "revision": "v1", "source": "github"}
        told = name.of(parameters_of(each) | asked, NOW)
        domain = str(each.config["entrypoint"]).split(".")[1].replace("_", "-")
        assert told.startswith(f"{domain} "), told
        assert "2026-11-29 03:05 UTC" in told, told
        assert re.search(
            r"raw|marts|bronze|silver|gold|platinum| all|inbox|metrics|docs|all domains", told
        ), told


def parameters_of(each: Declared) -> dict[str, Any]:
    """Of a run of the deployment that nobody gave any."""
    own = {
        name: parameter.default
        for name, parameter in signature(each.flow.fn).parameters.items()
        if parameter.default is not parameter.empty
    }
    return own | dict(each.config.get("parameters") or {})


def test_a_name_shows_what_was_asked_for_and_no_more_than_fits() -> None:
    name = RunName("scout {layer}, to {now}")
    assert name.of({"layer": "silver"}, NOW) == "scout silver, to 2026-11-29 03:05 UTC"
    assert name.of({"layer": ["a", "b"]}, NOW).startswith("scout a+b,")
    assert name.of({"layer": None}, NOW).startswith("scout any,")
    long = name.of({"layer": "x " * 500}, NOW)
    assert len(long) <= 120
    assert long.endswith("2026-11-29 03:05 UTC")
    # A format within a parameter's own text is text.
    assert "{now}" in name.of({"layer": "{now}"}, NOW)
