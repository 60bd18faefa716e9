"""Every dbt project is parsed once for a whole run of the tests, however many its processes.

As in the image, what was parsed is made to fit the database of each build: dbt itself would parse
a project anew for every other one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.image import parse
from deployments.local.processes import locked
from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import PARSED_VARIABLE
from flows._shared.orchestration.dbt_parsed import PARTIAL_PARSE, PLACEHOLDERS, take_over

PROJECTS = Path(__file__).parents[1] / "dbt_projects"
ON_BIGQUERY = {"github_scraper", "ledgermind"}
LONGEST_PARSE_SECONDS = 600.0


def install_packages(project: str, state: Path) -> None:
    """`dbt deps`, when the project's packages are not there yet.

    Two processes that install into one folder at once would break each other's.
    """
    lock = Path(os.environ.get(PARSED_VARIABLE, state), f".{project}.packages.lock")
    with locked(lock, LONGEST_PARSE_SECONDS):
        if not (PROJECTS / project / "dbt_packages" / "shared").exists():
            parse.install(PROJECTS / project)


def parse_once(project: str, target: str | None = None) -> Path:
    """Parse a project for a target unless that was done; the file that tells of it."""
    folder = Path(os.environ[PARSED_VARIABLE], project, target or parse.DEFAULT)
    with locked(folder.with_suffix(".lock"), LONGEST_PARSE_SECONDS):
        if not (folder / PARTIAL_PARSE).is_file():
            install_packages(project, folder)
            with set_environment(PLACEHOLDERS):
                parse.parse(PROJECTS / project, target, folder)
    return folder / PARTIAL_PARSE


def begin_parsed(
    project: str,
    target_path: Path,
    target: str | None = None,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """Give builds in a folder what is known of their project; their environment must be set.

    Outside the tests, as in benchmarks, dbt parses; so it does for variables that configure models.
    """
    if PARSED_VARIABLE not in os.environ:
        return
    parsed = parse_once(project, target)
    take_over(parsed, PROJECTS / project, target_path, target, variables)


def prepare_flows_of(domain: str) -> None:
    """Have the dbt builds of a domain's flows begin parsed."""
    if (PROJECTS / domain / "profiles.yml").is_file():
        parse_once(domain)
        if domain in ON_BIGQUERY:
            parse_once(domain, "bigquery")
