"""Work pool and global concurrency limits. Imports nothing of Prefect."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deployments.apply.changes import Change, differences
from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT
from flows._shared.errors import PermanentError
from flows._shared.yaml_keys import read_yaml

LIMITS = PROJECT_ROOT / "deployments" / "limits.yaml"
TEMPLATES = PROJECT_ROOT / "deployments" / "work_pools"
TEMPLATE_FILES = {
    "process": "local-process.json",
    "prefork": "prefork.json",
    "kubernetes": "kubernetes.json",
}
WARM_TYPE = "prefork"
# The two pools that a deployment may name: of runs that have a pod or process each, and of runs
# that are forks of a warm process. Where only the first is set, it is both.
POOL_VARIABLE, WARM_POOL_VARIABLE = "PREFECT_WORK_POOL", "PREFECT_WARM_WORK_POOL"
# Limits of this project carry it in their names: a limit has no tags.
LIMIT_PREFIX = "analytics-flows-"


def pool_template(pool_type: str) -> dict[str, Any]:
    """The base job template of a type of pool.

    Local flow runs work in the project's root and start Prefect's engine at once: two processes
    that fetch the code of a flow, which ours is there without, would each import Prefect before it.
    A worker of forks knows both by itself, wherever it is.
    """
    template: dict[str, Any] = json.loads((TEMPLATES / TEMPLATE_FILES[pool_type]).read_text())
    variables = template["variables"]["properties"]
    if pool_type == "process":
        variables["working_dir"]["default"] = str(PROJECT_ROOT)
        variables["command"]["default"] = shlex.join([sys.executable, "-m", "prefect.engine"])
    return template


def pools(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The work pools that an environment names, each once: the one of warm processes last."""
    named = (environment.get(each) for each in (POOL_VARIABLE, WARM_POOL_VARIABLE))
    return tuple(dict.fromkeys(each for each in named if each))


def plan_work_pool(api: PrefectApi, name: str, pool_type: str | None) -> list[Change]:
    """Create the pool, or bring its job template up to date.

    A pool of a type for which this project has no template is left as it is.

    Args:
        pool_type: of a pool that is made anew; an existing pool keeps its type.

    Raises:
        PermanentError: the pool is of another type, or there is none and no type is given.
    """
    found = api.work_pool(name)
    if found is None:
        if pool_type is None:
            raise PermanentError(
                f"looking for the work pool {name}",
                "the server has none of that name",
                "Say of which type it shall be: --pool-type process, --pool-type prefork, or "
                "--pool-type kubernetes",
            )
        body = {"name": name, "type": pool_type, "base_job_template": pool_template(pool_type)}
        create = partial(api.call, "POST", "work_pools/", body)
        return [Change("create", "work pool", f"{name}, of type {pool_type}", create)]
    if pool_type not in (None, found["type"]):
        raise PermanentError(
            f"bringing the work pool {name} up to date",
            f"it is of type {found['type']}, not {pool_type}",
            f"Name another pool in {POOL_VARIABLE}, or leave out --pool-type; one of type "
            f"{WARM_TYPE} in {WARM_POOL_VARIABLE}",
        )
    if found["type"] not in TEMPLATE_FILES:
        return []
    template = {"base_job_template": pool_template(str(found["type"]))}
    if not (details := differences(template, found)):
        return []
    update = partial(api.call, "PATCH", f"work_pools/{name}", template)
    return [Change("update", "work pool", name, update, details)]


@dataclass(frozen=True)
class Limit:
    """A global concurrency limit; ``deployments`` are the names of those that share it."""

    name: str
    limit: int
    deployments: tuple[str, ...] = ()

    @property
    def body(self) -> dict[str, Any]:
        return {"name": self.name, "limit": self.limit}


def limits(path: Path = LIMITS) -> tuple[Limit, ...]:
    """The wanted limits.

    Raises:
        PermanentError: the file cannot be read, or something in it cannot be; all is told.
    """
    # They import Prefect, as who reads limits does anyway.
    from deployments.apply.faults import faults
    from deployments.apply.shapes import LIMITS_FILE

    content = read_yaml(path) or []
    if found := faults(LIMITS_FILE, content):
        told = "\n".join(each.told() for each in found)
        raise PermanentError(f"reading {path}", told, "Correct what it names")
    return tuple(
        Limit(each["name"], each["limit"], tuple(each.get("deployments", ()))) for each in content
    )


def limit_id(api: PrefectApi, name: str) -> str:
    return str(api.call("GET", f"v2/concurrency_limits/{name}")["id"])


def plan_limits(api: PrefectApi, path: Path = LIMITS) -> list[Change]:
    """Create, update and delete global concurrency limits."""
    wanted = {limit.name: limit.body for limit in limits(path)}
    found = {
        each["name"]: each
        for each in api.all("v2/concurrency_limits/filter")
        if each["name"].startswith(LIMIT_PREFIX)
    }
    changes = []
    for name, body in wanted.items():
        address = f"v2/concurrency_limits/{name}"
        if name not in found:
            create = partial(api.call, "POST", "v2/concurrency_limits/", body)
            changes.append(Change("create", "limit", name, create))
        elif details := differences(body, found[name]):
            update = partial(api.call, "PATCH", address, body)
            changes.append(Change("update", "limit", name, update, details))
    for name in sorted(found.keys() - wanted.keys()):
        delete = partial(api.call, "DELETE", f"v2/concurrency_limits/{name}")
        changes.append(Change("delete", "limit", name, delete))
    return changes
