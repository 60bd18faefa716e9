"""Deployments: what the file declares against what the server has."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from deployments.apply.changes import PROJECT_TAG, Change, differences
from deployments.apply.files import Declared
from deployments.apply.infrastructure import Limit, limit_id
from deployments.local.api import PrefectApi

# What Prefect calls the limit that it makes for one deployment.
OWN_LIMIT_PREFIX = "deployment:"


def plan_deployments(
    api: PrefectApi, wanted: Sequence[Declared], limits: Iterable[Limit]
) -> list[Change]:
    """Create and update what the file declares, delete what it no longer does.

    A deployment that carries this project's tag belongs to this project. Its schedules are those of
    the file, no others: Prefect's own `deploy` keeps a schedule that was taken out of the file.
    """
    mine = {"deployments": {"tags": {"all_": [PROJECT_TAG]}}}
    left = {each["id"]: each["name"] for each in api.all("deployments/filter", mine)}
    shared = {name: limit.name for limit in limits for name in limit.deployments}
    changes = []
    for each in wanted:
        limit = shared.get(each.name)
        write = partial(_write, api, each, limit)
        found = api.deployment(each.full_name)
        if found is None:
            changes.append(Change("create", "deployment", each.name, write))
            continue
        left.pop(found["id"], None)
        body = {**each.body, "shared_limit": limit}
        if details := differences(_comparable(body), _comparable(found)):
            changes.append(Change("update", "deployment", each.name, write, details))
    for identity, name in left.items():
        delete = partial(api.call, "DELETE", f"deployments/{identity}")
        changes.append(Change("delete", "deployment", name, delete))
    return changes


def _write(api: PrefectApi, wanted: Declared, limit: str | None) -> None:
    flow = api.call("POST", "flows/", {"name": wanted.flow.name})
    body = {**wanted.body, "flow_id": flow["id"]}
    if limit:
        # The server takes either; the shared one says the number.
        del body["concurrency_limit"]
        body["global_concurrency_limit_id"] = limit_id(api, limit)
    api.call("POST", "deployments/", body)


def _comparable(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The same shape for what is sent and for what the server answers."""
    limit = deployment.get("global_concurrency_limit")
    limit_name = str(limit["name"]) if limit else OWN_LIMIT_PREFIX
    schedules = {}
    for each in deployment["schedules"]:
        fields = {name: each[name] for name in ("active", "parameters")}
        # The server adds what it takes for granted.
        named = {k: v for k, v in each["schedule"].items() if (k, v) != ("day_or", True)}
        schedules[str(each["slug"])] = {**fields, **named}
    return {
        "shared_limit": None if limit_name.startswith(OWN_LIMIT_PREFIX) else limit_name,
        **deployment,
        "concurrency_limit": limit["limit"] if limit else deployment.get("concurrency_limit"),
        "pull_steps": deployment["pull_steps"] or [],
        "schedules": schedules,
    }
