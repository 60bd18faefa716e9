"""Every dbt project is parsed once for a whole run of the tests, however many its processes.

As in the image, what was parsed is made to fit the database of each build: dbt itself would parse
a project anew for every other one.
"""

import os
import pprint
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgpack
from dbt.contracts.files import FileHash
from dbt.version import __version__ as dbt_version

from deployments.image import parse
from deployments.local.processes import locked
from flows._shared.environment import set_environment
from flows._shared.orchestration.bigquery import EMULATED
from flows._shared.orchestration.dbt import PARSED_VARIABLE
from flows._shared.orchestration.dbt_parsed import (
    PARSED_FOR,
    PARTIAL_PARSE,
    PLACEHOLDERS,
    READ_IN_SQL,
    take_over,
)

PROJECTS = Path(__file__).parents[1] / "dbt_projects"
BIGQUERY = "bigquery"
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
            with set_environment({**PLACEHOLDERS, **(EMULATED if target == BIGQUERY else {})}):
                parse.parse(PROJECTS / project, target, folder)
    return folder / PARTIAL_PARSE


def begin_parsed(
    project: str,
    target_path: Path,
    target: str | None = None,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """Give builds in a folder what is known of their project; their environment must be set.

    Outside the tests, as in benchmarks, dbt parses. For variables that configure models it parses
    those models, where for an operator it parses the project: of that is the same made.
    """
    if PARSED_VARIABLE not in os.environ:
        return
    parsed, told = parse_once(project, target), target_path / PARSED_FOR
    before = told.stat().st_mtime_ns if told.is_file() else None
    take_over(parsed, PROJECTS / project, target_path, target, variables)
    configuring = (variables or {}).keys() - READ_IN_SQL
    if configuring and told.stat().st_mtime_ns != before:
        _make_models_outdated(target_path / PARTIAL_PARSE, configuring, variables or {}, target)


def _make_models_outdated(
    parsed: Path, names: Collection[str], variables: Mapping[str, Any], target: str | None
) -> None:
    """Have dbt take up what was parsed, and parse anew the models that name a variable."""
    manifest = msgpack.unpackb(parsed.read_bytes(), strict_map_key=False)
    given = "\x00".join([pprint.pformat(dict(variables)), "", target or "", dbt_version])
    manifest["state_check"]["vars_hash"] = FileHash.from_contents(given).to_dict()
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and any(name in node["raw_code"] for name in names):
            file = manifest["files"][f"{node['package_name']}://{node['original_file_path']}"]
            file["checksum"]["checksum"] = "of another text"
    parsed.write_bytes(msgpack.packb(manifest))


def prepare_flows_of(domain: str) -> None:
    """Have the dbt builds of a domain's flows begin parsed."""
    if (PROJECTS / domain / "profiles.yml").is_file():
        parse_once(domain)
        if domain in ON_BIGQUERY:
            parse_once(domain, BIGQUERY)
