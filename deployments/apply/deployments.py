"""Deployments: what the file declares against what the server has."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from deployments.apply.changes import PROJECT_TAG, Change, differences
from deployments.apply.files import Declared
from deployments.local.api import PrefectApi


def plan_deployments(api: PrefectApi, wanted: Sequence[Declared]) -> list[Change]:
    """Create and update what the file declares, delete what it no longer does.

    A deployment that carries this project's tag belongs to this project. Its schedules are those of
    the file, no others: Prefect's own `deploy` keeps a schedule that was taken out of the file.
    """
    mine = {"deployments": {"tags": {"all_": [PROJECT_TAG]}}}
    left = {each["id"]: each["name"] for each in api.all("deployments/filter", mine)}
    changes = []
    for each in wanted:
        found = api.deployment(each.full_name)
        if found is None:
            changes.append(Change("create", "deployment", each.name, partial(_write, api, each)))
            continue
        left.pop(found["id"], None)
        if details := differences(_comparable(each.body), _comparable(found)):
            write = partial(_write, api, each)
            changes.append(Change("update", "deployment", each.name, write, details))
    for identity, name in left.items():
        delete = partial(api.call, "DELETE", f"deployments/{identity}")
        changes.append(Change("delete", "deployment", name, delete))
    return changes


def _write(api: PrefectApi, wanted: Declared) -> None:
    flow = api.call("POST", "flows/", {"name": wanted.flow.name})
    api.call("POST", "deployments/", {**wanted.body, "flow_id": flow["id"]})


def _comparable(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The same shape for what is sent and for what the server answers."""
    limit = deployment.get("global_concurrency_limit")
    schedules = {}
    for each in deployment["schedules"]:
        fields = {name: each[name] for name in ("active", "parameters")}
        # The server adds what it takes for granted.
        named = {k: v for k, v in each["schedule"].items() if (k, v) != ("day_or", True)}
        schedules[str(each["slug"])] = {**fields, **named}
    return {
        **deployment,
        "concurrency_limit": limit["limit"] if limit else deployment.get("concurrency_limit"),
        "pull_steps": deployment["pull_steps"] or [],
        "schedules": schedules,
    }
