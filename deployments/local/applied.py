"""What deployments and automations come of, and which of them a server has."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deployments.apply.changes import PROJECT_TAG
from deployments.apply.infrastructure import pools
from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT

FILE = "applied.json"


def read(path: Path) -> dict[str, Any]:
    """What was applied last; empty if nothing was."""
    with suppress(FileNotFoundError, ValueError):
        return dict(json.loads(path.read_text()))
    return {}


def sources(environment: Mapping[str, str]) -> str:
    """What decides the content of the deployments: the files, and the signatures of the flows."""
    flows, deployments = PROJECT_ROOT / "flows", PROJECT_ROOT / "deployments"
    files = [
        PROJECT_ROOT / "prefect.yaml",
        deployments / "limits.yaml",
        *deployments.glob("automations/*.yaml"),
        *deployments.glob("work_pools/*.json"),
        *flows.glob("*/flow.py"),
        *flows.glob("*/flow/*.py"),
        flows / "webhooks" / "operations.py",
        flows / "report" / "operations.py",
        *flows.glob("*/settings.py"),
        *flows.glob("_shared/orchestration/*.py"),
    ]
    texts = [path.read_text() for path in sorted(files)]
    return "\0".join([*pools(environment), environment["PREFECT_SCHEDULES_ACTIVE"], *texts])


def names(api: PrefectApi) -> set[str]:
    """The deployments and automations of this project."""
    mine = {"deployments": {"tags": {"all_": [PROJECT_TAG]}}}
    deployments = api.all("deployments/filter", mine)
    automations = api.all("automations/filter")
    return {f"deployment {each['name']}" for each in deployments} | {
        f"automation {each['name']}" for each in automations if PROJECT_TAG in each["tags"]
    }


def lacking(remembered: Mapping[str, object], api: PrefectApi) -> list[str]:
    """Those that were applied from here and have been deleted since.

    Args:
        remembered: as `read` gives it.
    """
    known = remembered.get("names")
    return sorted({*known} - names(api)) if isinstance(known, list) else []
