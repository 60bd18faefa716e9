"""What docs/upgrading.md has everyone build once after an upgrade."""

import json
import re
from pathlib import Path

import yaml

from flows._shared.orchestration.dbt import DbtOptions

ROOT = Path(__file__).parents[1]
COMMAND = r"^prefect deployment run '{}/([\w-]+)'(?: -p dbt='(.*)')?$"


def options_of_the_page(domain: str) -> DbtOptions:
    """The options of the build that the page's command for a domain asks for."""
    page = (ROOT / "docs" / "upgrading.md").read_text()
    command = re.compile(COMMAND.format(domain.replace("_", "-")), re.MULTILINE)
    ((deployment, given),) = command.findall(page)
    declared = {
        each["name"]: each.get("parameters", {})
        for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    options = json.loads(given) if given else declared[deployment].get("dbt", {})
    return DbtOptions.model_validate(options)


def refreshing_of_the_page(domain: str) -> tuple[str, ...]:
    """The same as arguments of dbt."""
    return ("--full-refresh",) if options_of_the_page(domain).full_refresh else ()
