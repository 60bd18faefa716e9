"""What the image build parsed, made to fit the warehouse of a run.

dbt takes up a former parse only if the connection is the one it was parsed with, and an image
knows no connection. It is therefore parsed with placeholders (``deployments.image.parse``); a run
puts its own database and schema in their place and says whose parse it is. It does so, too, with
variables that only the SQL of models and tests reads: of a project that is parsed they change
nothing. Everything else dbt checks as ever: its version, other variables, files, environment.
"""

import json
import os
import pprint
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import yaml
from dbt.config.profile import Profile, read_profile
from dbt.config.renderer import ProfileRenderer
from dbt.contracts.files import FileHash
from dbt.flags import set_from_args
from dbt.version import __version__ as dbt_version
from dbt_common.context import set_invocation_context
from dbt_common.exceptions import DbtRuntimeError

PARTIAL_PARSE = "partial_parse.msgpack"
PARSED_FOR = "parsed_for.json"
DATABASE, SCHEMA = "placeholder_database", "placeholder_schema"
PLACEHOLDERS = {
    "DBT_POSTGRES_DATABASE": DATABASE,
    "DBT_BIGQUERY_PROJECT": DATABASE,
    "DBT_BIGQUERY_DATASET": SCHEMA,
    "AGENT_ANALYTICS_DUCKDB_PATH": f"/tmp/{DATABASE}.duckdb",  # noqa: S108  never opened
}
# In no configuration of a node: tests/dbt_projects/test_shared_package.py says so.
READ_IN_SQL = frozenset({"as_of_date", "minimum_silver_share", "incremental_lookback_hours"})


def take_over(
    parsed: Path,
    project_dir: Path,
    target_path: Path,
    target: str | None,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """Write ``target_path/partial_parse.msgpack`` from what the image build parsed.

    What lies there stays if it was taken over, or parsed since, for this connection and these
    variables.

    Args:
        parsed: the file written at image build.
        target: of profiles.yml; None for the profile's default. The environment of profiles.yml
            must be set.
        variables: that the command is given. With others than those in READ_IN_SQL dbt parses anew.
    """
    # Outside its commands dbt has neither environment nor flags to read a profile with.
    set_invocation_context(os.environ)
    set_from_args(Namespace(), {})
    try:
        credentials = _profile(project_dir, target).credentials
    except DbtRuntimeError:
        # The command that follows meets the same profile and says what is wrong with it.
        return
    connection = pprint.pformat(sorted(credentials.connection_info()))
    known = json.dumps([connection, variables or {}], sort_keys=True)
    told = target_path / PARSED_FOR
    if (target_path / PARTIAL_PARSE).is_file() and told.is_file() and told.read_text() == known:
        return
    manifest = msgpack.unpackb(parsed.read_bytes(), strict_map_key=False)
    manifest = _replaced(manifest, {DATABASE: credentials.database, SCHEMA: credentials.schema})
    manifest["state_check"]["profile_hash"] = FileHash.from_contents(connection).to_dict()
    if variables and variables.keys() <= READ_IN_SQL:
        given = "\x00".join([pprint.pformat(dict(variables)), "", target or "", dbt_version])
        manifest["state_check"]["vars_hash"] = FileHash.from_contents(given).to_dict()
    target_path.mkdir(parents=True, exist_ok=True)
    told.unlink(missing_ok=True)
    unfinished = target_path / f".{PARTIAL_PARSE}.{os.getpid()}"
    unfinished.write_bytes(msgpack.packb(manifest))
    unfinished.rename(target_path / PARTIAL_PARSE)
    told.write_text(known)


def _profile(project_dir: Path, target: str | None) -> Profile:
    name = yaml.safe_load((project_dir / "dbt_project.yml").read_text())["profile"]
    return Profile.from_raw_profile_info(
        raw_profile=read_profile(str(project_dir))[name],
        profile_name=name,
        renderer=ProfileRenderer({}),
        target_override=target,
    )


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        if "placeholder_" in value:
            for placeholder, name in names.items():
                value = value.replace(placeholder, name)
        return value
    if isinstance(value, dict):
        return {key: _replaced(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, names) for each in value]
    return value
