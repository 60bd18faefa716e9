"""What ``prefect.yaml`` and ``deployments/automations`` say, with the environment filled in."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.events import AutomationCore, DeploymentTriggerTypes
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.templating import apply_values
from pydantic import TypeAdapter

from deployments.apply.faults import Fault, Told, faults, folded, softened, wrong
from deployments.apply.forms import readable
from deployments.apply.infrastructure import POOL_VARIABLE, WARM_POOL_VARIABLE
from deployments.apply.shapes import AUTOMATION, DEPLOYMENT
from deployments.local.paths import PROJECT_ROOT
from flows._shared.counted import counted
from flows._shared.environment import set_environment
from flows._shared.errors import PermanentError
from flows._shared.yaml_keys import read_yaml

PREFECT_YAML = PROJECT_ROOT / "prefect.yaml"
AUTOMATIONS = PROJECT_ROOT / "deployments" / "automations"
POOL, WARM_POOL = (f"{{{{ ${each} }}}}" for each in (POOL_VARIABLE, WARM_POOL_VARIABLE))
TRIGGER: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)
ITEMS = {"schedules": ("schedule", "slug"), "triggers": ("trigger", "name")}


@dataclass(frozen=True)
class Declared:
    """One deployment as the file declares it.

    Args:
        config: its entry; placeholders for environment variables are filled in.
        pool: its work pool as the file names it, by a placeholder.
    """

    config: Mapping[str, Any]
    pool: str

    @property
    def is_warm(self) -> bool:
        """Whether its runs are forks of a warm process, where there is a pool of them."""
        return self.pool == WARM_POOL

    @property
    def name(self) -> str:
        return str(self.config["name"])

    @property
    def domain(self) -> str | None:
        """The slug of whose flow it is; None where the entrypoint is none of this project's."""
        package, _, rest = str(self.config["entrypoint"]).partition(".")
        slug, _, flow = rest.partition(".")
        return slug if package == "flows" and flow else None

    @property
    def full_name(self) -> str:
        """``<flow>/<deployment>``."""
        return f"{self.flow.name}/{self.name}"

    @cached_property
    def flow(self) -> "Flow[Any, Any]":
        """The flow of the entrypoint.

        Raises:
            PermanentError: there is none at the entrypoint.
        """
        entrypoint = str(self.config["entrypoint"])
        try:
            return load_flow_from_entrypoint(entrypoint)
        except Exception as error:
            raise PermanentError(
                f"importing {entrypoint} for the deployment {self.name}",
                f"{type(error).__name__}: {error}",
                "Correct the entrypoint: a module path that ends in the name of a flow",
            ) from error

    @property
    def parameter_schema(self) -> dict[str, Any]:
        """Of the form of its runs."""
        return readable(self.flow.parameters.model_dump(mode="json", exclude_unset=True))

    @property
    def body(self) -> dict[str, Any]:
        """What ``POST /deployments/`` takes, without the id of the flow."""
        config, limit = self.config, self.config.get("concurrency_limit")
        options = dict(limit) if isinstance(limit, Mapping) else {"limit": limit}
        number = options.pop("limit", None)
        if options:
            options = {"collision_strategy": "ENQUEUE", **options}
        pool = config.get("work_pool") or {}
        return {
            "name": self.name,
            "entrypoint": config["entrypoint"],
            "description": config.get("description") or self.flow.description,
            "version": config.get("version") or self.flow.version,
            "tags": list(config.get("tags") or []),
            "parameters": dict(config.get("parameters") or {}),
            "enforce_parameter_schema": config.get("enforce_parameter_schema", True),
            "parameter_openapi_schema": self.parameter_schema,
            "paused": bool(config.get("paused", False)),
            "concurrency_limit": number,
            "concurrency_options": options or None,
            "work_pool_name": pool.get("name"),
            "work_queue_name": pool.get("work_queue_name") or "default",
            "job_variables": dict(pool.get("job_variables") or {}),
            "pull_steps": [],
            "schedules": [_schedule(each) for each in config.get("schedules") or []],
        }

    def automations(self, deployment_id: object) -> Iterator[AutomationCore]:
        """The automations of its triggers, once the server has given the deployment an id."""
        for number, each in enumerate(self.config.get("triggers") or [], start=1):
            name = f"{self.name}__automation_{number}"
            trigger = TRIGGER.validate_python({"name": name, **each})
            trigger.set_deployment_id(deployment_id)  # type: ignore[arg-type]
            made = trigger.as_automation()
            # The UI calls every trigger of events a custom one: this says which it is.
            told = ", ".join(sorted({*each.get("expect", []), *each.get("after", [])}))
            made.description = f"Starts {self.name} on {told}" if told else f"Starts {self.name}"
            yield made


def declared(path: Path = PREFECT_YAML) -> list[Declared]:
    """The deployments of the file, for the environment of this process.

    Raises:
        PermanentError: the file cannot be read, or something in an entry cannot be; all is told.
    """
    found, told = read_deployments(path)
    _refuse(path, told)
    return found


def read_deployments(path: Path) -> tuple[list[Declared], list[Told]]:
    """The deployments of the file, with None in the place of what is wrong, and what that is.

    One without a name or an entrypoint is not among them.
    """
    try:
        content = read_yaml(path)
    except PermanentError as error:
        return [], [("the file", error.seen)]
    if not isinstance(content, Mapping):
        return [], [("the file", f"it {wrong(content, 'it is no mapping of keys')}")]
    if "deployments" not in content:
        return [], [("the file", "deployments is missing: give a list of them")]
    entries = content["deployments"]
    if not isinstance(entries, list):
        return [], [("the file", f"deployments {wrong(entries, 'it is no list')}")]
    found, told = [], []
    for number, entry in enumerate(entries, start=1):
        filled, own = _read(entry, DEPLOYMENT, _filled)
        told += [_told(filled, fault, f"deployment {number}") for fault in own]
        config = softened(filled, own)
        if isinstance(config, Mapping) and config.get("name") and config.get("entrypoint"):
            pool = entry.get("work_pool")
            name = pool.get("name") if isinstance(pool, Mapping) else None
            found.append(Declared(config, str(name)))
    return found, told


def automation_files(folder: Path = AUTOMATIONS) -> list[tuple[Path, Mapping[str, Any]]]:
    """Every automation of the folder with its file; a file holds one or a list of them.

    Raises:
        PermanentError: a file cannot be read, or something in an automation; all is told.
    """
    found, told = read_automations(folder)
    _refuse(folder, told)
    return found


def read_automations(folder: Path) -> tuple[list[tuple[Path, Mapping[str, Any]]], list[Told]]:
    """The same with None in the place of what is wrong, and what that is."""
    found: list[tuple[Path, Mapping[str, Any]]] = []
    told: list[Told] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            content = read_yaml(path)
        except PermanentError as error:
            told.append((path.name, error.seen))
            continue
        for number, each in enumerate(content if isinstance(content, list) else [content], start=1):
            plain, own = _read(each, AUTOMATION)
            config = softened(plain, own)
            name = config.get("name") if isinstance(config, Mapping) else None
            where = f"automation {name or f'{number} of {path.name}'}"
            told += [(where, fault.told()) for fault in own]
            if name:
                found.append((path, config))
    return found, told


def _read(
    entry: object, model: TypeAdapter[Any], fill: Callable[[Any], Any] = lambda entry: entry
) -> tuple[Any, list[Fault]]:
    """An entry as JSON has it, in which a date is text, and its faults."""
    try:
        plain = fill(json.loads(json.dumps(entry, default=str, allow_nan=False)))
    except (TypeError, ValueError) as error:
        return entry, [Fault((), wrong(entry, f"JSON cannot have it ({error})"))]
    return plain, faults(model, plain)


def _filled(entry: Any) -> Any:
    warm = os.environ.get(WARM_POOL_VARIABLE) or os.environ.get(POOL_VARIABLE)
    # Prefect fills in what the process has.
    with set_environment({WARM_POOL_VARIABLE: warm} if warm else {}):
        return apply_values(entry, {}, remove_notset=False)


def _told(entry: Any, fault: Fault, unnamed: str) -> Told:
    """Of which deployment, schedule or trigger it is, and what it is."""
    name = entry.get("name") if isinstance(entry, Mapping) else None
    where = name if name and isinstance(name, str) else unnamed
    if len(fault.path) < 2 or fault.path[0] not in ITEMS:
        return where, fault.told()
    kind, key = ITEMS[str(fault.path[0])]
    number = fault.path[1]
    item = entry[fault.path[0]][number]
    named = item.get(key) if isinstance(item, Mapping) else None
    item_name = named if named and isinstance(named, str) else int(number) + 1
    return f"{where}, {kind} {item_name}", fault.told(below=2)


def _refuse(path: Path, told: Sequence[Told]) -> None:
    if told:
        lines = folded(told)
        raise PermanentError(
            f"reading {path}",
            "\n".join([f"{counted(len(lines), 'fault')} in it", *lines]),
            "Correct them; `python -m deployments.check` finds more",
        )


def _schedule(config: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {
        "cron": ("cron", "timezone", "day_or"),
        "interval": ("interval", "timezone", "anchor_date"),
        "rrule": ("rrule", "timezone"),
    }
    kind = next(kind for kind in kinds if kind in config)
    return {
        "slug": config.get("slug"),
        "active": str(config.get("active", True)).lower() == "true",
        "parameters": dict(config.get("parameters") or {}),
        "schedule": {name: config[name] for name in kinds[kind] if name in config},
    }
