"""The page about deployments tells what prefect.yaml and the automations say."""

import re

from deployments.apply.files import automation_files
from deployments.table import PAGE, page


def test_the_table_of_deployments_is_that_of_the_file() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run `python -m deployments.table --write`"


def test_every_automation_is_in_the_table() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text().split("## Automations")[1], re.M)
    patterns = [name.replace("<slug>", r"\w+") for name in named]
    for _, automation in automation_files():
        assert any(re.fullmatch(pattern, automation["name"]) for pattern in patterns)
