"""What is checked, and how a problem is put."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from deployments.apply.files import (
    AUTOMATIONS,
    PREFECT_YAML,
    Declared,
    automation_files,
    declared,
)
from deployments.apply.infrastructure import LIMITS
from flows._shared.yaml_keys import read_yaml

Config = Mapping[str, Any]
Problems = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Project:
    """The files to be checked."""

    prefect_file: Path = PREFECT_YAML
    automations_folder: Path = AUTOMATIONS
    limits_file: Path = LIMITS

    @cached_property
    def content(self) -> Config:
        content: Config = read_yaml(self.prefect_file)
        return content

    @cached_property
    def deployments(self) -> list[Declared]:
        return declared(self.prefect_file)

    @cached_property
    def automations(self) -> list[Config]:
        return [each for _, each in automation_files(self.automations_folder)]

    def triggers(self) -> Iterator[tuple[Declared, Config]]:
        for each in self.deployments:
            for trigger in each.config.get("triggers") or []:
                yield each, trigger


def unknown(where: str, config: object, model: type[BaseModel]) -> Problems:
    yield from strange(where, config, model.model_fields.keys())


def strange(where: str, config: object, known: Iterable[str]) -> Problems:
    if isinstance(config, Mapping):
        for key in sorted(config.keys() - set(known)):
            yield where, f"Prefect ignores the key {key}"


def seconds(delta: timedelta) -> str:
    return f"{delta.total_seconds():.0f} s"


def first_of(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
