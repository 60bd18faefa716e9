"""Automations: those of ``deployments/automations`` and those of the deployments' triggers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.events import AutomationCore

from blocks import CATALOGUE
from deployments.apply.changes import PROJECT_TAG, Change, differences
from deployments.apply.files import AUTOMATIONS, Declared, automation_files
from deployments.local.api import PrefectApi

# Stands for the id of a deployment that a plan is about to create.
TO_COME = UUID(int=0)
SETS = ("after", "expect", "for_each")
NOTIFIERS = {need.name: need.kind.block_type for need in CATALOGUE["alerts"]}


def plan_automations(
    api: PrefectApi,
    wanted: Sequence[Declared],
    say: Callable[[str], None],
    folder: Path = AUTOMATIONS,
) -> list[Change]:
    """Create, update and delete by name.

    An automation that carries this project's tag belongs to this project. One without it that has
    the name of a trigger was made by Prefect's own `deploy`, and becomes ours.

    A notification goes through those of its blocks that are registered; an automation that can do
    nothing without the others is left out, and that is told.
    """
    found = {each["name"]: each for each in api.all("automations/filter")}
    changes, names = [], set()

    def plan(name: str, automation: Mapping[str, Any], create: Callable[[], object]) -> None:
        names.add(name)
        if name not in found:
            changes.append(Change("create", "automation", name, create))
        elif details := differences(without_owner(automation), normal(found[name])):
            change: Callable[[], object]
            if automation["owner_resource"]:
                change = partial(_replace, api, found[name]["id"], create)
            else:
                path = f"automations/{found[name]['id']}"
                change = partial(api.call, "PUT", path, without_owner(automation))
            changes.append(Change("update", "automation", name, change, details))

    for name, automation in from_files(api, folder, say).items():
        plan(name, automation, partial(api.call, "POST", "automations/", automation))
    for deployment in wanted:
        for name, automation in from_triggers(api, deployment).items():
            plan(name, automation, partial(_create_trigger, api, deployment, name))
    for name, each in found.items():
        if PROJECT_TAG in each["tags"] and name not in names:
            delete = partial(api.call, "DELETE", f"automations/{each['id']}")
            changes.append(Change("delete", "automation", name, delete))
    return changes


def from_files(
    api: PrefectApi, folder: Path, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """The automations of the files by name. Where a file names blocks, there is one action each."""
    channels = {name: api.block_id(kind, name) for name, kind in NOTIFIERS.items()}
    named, left_out = {}, []
    for _, config in automation_files(folder):
        name = str(config["name"])
        if actions := list(_actions(config["actions"], channels)):
            named[name] = normal(AutomationCore.model_validate({**config, "actions": actions}))
        else:
            left_out.append(name)
    if left_out:
        say(
            f"left out, for lack of a block to tell through: {', '.join(left_out)}. Register one: "
            "`flows blocks register alerts`"
        )
    return named


def _actions(
    configs: Iterable[Mapping[str, Any]], channels: Mapping[str, str | None]
) -> Iterator[dict[str, Any]]:
    for config in configs:
        action = {key: value for key, value in config.items() if key != "blocks"}
        if "blocks" not in config:
            yield action
        for block in config.get("blocks", []):
            if identity := channels[block]:
                yield {**action, "block_document_id": identity}


def from_triggers(api: PrefectApi, deployment: Declared) -> dict[str, dict[str, Any]]:
    """The automations of a deployment's triggers by name, as the server would show them."""
    if not deployment.config.get("triggers"):
        return {}
    found = api.deployment(deployment.full_name)
    owner = UUID(found["id"]) if found else TO_COME
    return {each.name: normal(each) for each in deployment.automations(owner)}


def normal(automation: AutomationCore | Mapping[str, Any]) -> dict[str, Any]:
    """One shape for what is sent and for what the server answers: defaults filled in, ids of
    triggers left out, sets in order."""
    if isinstance(automation, Mapping):
        tags, automation = automation["tags"], AutomationCore.model_validate(automation)
    else:
        tags = [PROJECT_TAG]
    shape: dict[str, Any] = _ordered(automation.model_dump(mode="json"))
    return {**shape, "tags": tags}


def without_owner(automation: Mapping[str, Any]) -> dict[str, Any]:
    """The server keeps the owner to itself."""
    return {key: value for key, value in automation.items() if key != "owner_resource"}


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted(each) if key in SETS else _ordered(each) for key, each in value.items()}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def _create_trigger(api: PrefectApi, deployment: Declared, name: str) -> None:
    api.call("POST", "automations/", from_triggers(api, deployment)[name])


def _replace(api: PrefectApi, identity: str, create: Callable[[], object]) -> None:
    # An update would forget which deployment owns it.
    api.call("DELETE", f"automations/{identity}")
    create()
