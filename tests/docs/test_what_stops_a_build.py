"""The page that says of every test that stops a build who can cause it."""

import re
from pathlib import Path

import pytest
from dbt.contracts.graph.manifest import Manifest

from tests.parsed import parse_once

PAGE = Path(__file__).parents[2] / "docs" / "what-stops-a-build.md"
TITLES = {
    "github_scraper": "GitHub",
    "ledgermind": "LedgerMind",
    "scout": "Scout",
    "quality_compass": "Quality Compass",
    "agent_analytics": "Agent analytics",
}


def section(domain: str) -> str:
    (found,) = re.findall(rf"^## {TITLES[domain]}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    return str(found)


@pytest.mark.parametrize("domain", TITLES)
def test_every_test_that_stops_a_build_is_listed_with_who_can_cause_it(domain: str) -> None:
    manifest = Manifest.from_msgpack(parse_once(domain).read_bytes())
    stopping = {
        node.name
        for node in manifest.nodes.values()
        if node.resource_type == "test" and node.config.severity.lower() == "error"
    }
    lines = re.findall(
        r"^\| `(\w+)` \| ((?:only we|a sender, kept out|senders, by .*): .+) \|$",
        section(domain),
        re.M,
    )
    assert sorted(name for name, _ in lines) == sorted(stopping)


@pytest.mark.parametrize("domain", ["ledgermind", "scout", "agent_analytics"])
def test_every_column_that_a_contract_wants_is_listed_once(domain: str) -> None:
    manifest = Manifest.from_msgpack(parse_once(domain).read_bytes())
    wanted = {
        (node.name, column.name)
        for node in manifest.nodes.values()
        if node.resource_type == "model"
        for column in node.columns.values()
        if any(constraint.type == "not_null" for constraint in column.constraints)
    }
    listed = [
        (model, column)
        for model, columns in re.findall(
            r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", section(domain), re.M
        )
        for column in re.findall(r"`(\w+)`", columns)
    ]
    assert sorted(listed) == sorted(wanted)
