"""What ``prefect.yaml`` and ``deployments/automations`` say, with the environment filled in."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.events import AutomationCore, DeploymentTriggerTypes
from prefect.exceptions import MissingFlowError, ScriptError
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.templating import apply_values
from pydantic import TypeAdapter

from deployments.apply.forms import readable
from deployments.apply.infrastructure import POOL_VARIABLE, WARM_POOL_VARIABLE
from deployments.local.paths import PROJECT_ROOT
from flows._shared.environment import set_environment
from flows._shared.errors import PermanentError
from flows._shared.yaml_keys import read_yaml

PREFECT_YAML = PROJECT_ROOT / "prefect.yaml"
AUTOMATIONS = PROJECT_ROOT / "deployments" / "automations"
POOL, WARM_POOL = (f"{{{{ ${each} }}}}" for each in (POOL_VARIABLE, WARM_POOL_VARIABLE))
TRIGGER: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)


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
        except (
            AttributeError,
            ImportError,
            MissingFlowError,
            OSError,
            ScriptError,
            ValueError,
        ) as error:
            raise PermanentError(
                f"importing {entrypoint} for the deployment {self.name}",
                f"{type(error).__name__}: {error}",
                "Correct the entrypoint: a module path that ends in the name of a flow",
            ) from error

    @property
    def body(self) -> dict[str, Any]:
        """What ``POST /deployments/`` takes, without the id of the flow."""
        config, limit = self.config, self.config.get("concurrency_limit")
        options = dict(limit) if isinstance(limit, Mapping) else {"limit": limit}
        number = options.pop("limit", None)
        pool = config.get("work_pool") or {}
        return {
            "name": self.name,
            "entrypoint": config["entrypoint"],
            "description": config.get("description") or self.flow.description,
            "version": config.get("version") or self.flow.version,
            "tags": list(config.get("tags") or []),
            "parameters": dict(config.get("parameters") or {}),
            "enforce_parameter_schema": config.get("enforce_parameter_schema", True),
            "parameter_openapi_schema": readable(
                self.flow.parameters.model_dump(mode="json", exclude_unset=True)
            ),
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
    """The deployments of the file, for the environment of this process."""
    entries = read_yaml(path)["deployments"]
    warm = os.environ.get(WARM_POOL_VARIABLE) or os.environ.get(POOL_VARIABLE)
    # Prefect fills in what the process has.
    with set_environment({WARM_POOL_VARIABLE: warm} if warm else {}):
        filled: Any = apply_values(entries, {}, remove_notset=False)
    return [
        Declared(config, str((entry.get("work_pool") or {}).get("name")))
        for config, entry in zip(filled, entries, strict=True)
    ]


def automation_files(folder: Path = AUTOMATIONS) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every automation of the folder with its file; a file holds one or a list of them."""
    for path in sorted(folder.glob("*.yaml")):
        content = read_yaml(path)
        for each in content if isinstance(content, list) else [content]:
            yield path, each


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
