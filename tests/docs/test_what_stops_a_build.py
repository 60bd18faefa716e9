"""The page that says of every test that stops a build who can cause it."""

import re
from pathlib import Path

import pytest
from dbt.contracts.graph.manifest import Manifest

from tests.parsed import parse_once

PAGE = Path(__file__).parents[2] / "docs" / "what-stops-a-build.md"
# The other domains' lists are not written yet.
TITLES = {
    "github_scraper": "GitHub",
    "scout": "Scout",
    "quality_compass": "Quality Compass",
    "agent_analytics": "Agent analytics",
}


@pytest.mark.parametrize("domain", TITLES)
def test_every_test_that_stops_a_build_is_listed_with_who_can_cause_it(domain: str) -> None:
    manifest = Manifest.from_msgpack(parse_once(domain).read_bytes())
    stopping = {
        node.name
        for node in manifest.nodes.values()
        if node.resource_type == "test" and node.config.severity.lower() == "error"
    }
    (section,) = re.findall(
        rf"^## {TITLES[domain]}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S
    )
    lines = re.findall(
        r"^\| `(\w+)` \| ((?:only we|a sender, kept out|senders, by .*): .+) \|$", section, re.M
    )
    assert sorted(name for name, _ in lines) == sorted(stopping)
