"""What is checked, and how a problem is put."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from deployments.apply.faults import Told
from deployments.apply.files import (
    AUTOMATIONS,
    PREFECT_YAML,
    Declared,
    read_automations,
    read_deployments,
)
from deployments.apply.infrastructure import LIMITS
from flows._shared.errors import PlatformError
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
        """Of the file; nothing where it cannot be read or is no mapping, which `faults` tell."""
        try:
            content = read_yaml(self.prefect_file)
        except PlatformError:
            return {}
        return content if isinstance(content, Mapping) else {}

    @property
    def lists_deployments(self) -> bool:
        """Whether the file can be read and has a list of them, which may be empty."""
        return isinstance(self.content.get("deployments"), list)

    @property
    def deployments(self) -> list[Declared]:
        return self._deployments[0]

    @property
    def automations(self) -> list[Config]:
        return [each for _, each in self._automations[0]]

    @property
    def faults(self) -> list[Told]:
        """Values that cannot be. Deployments and automations have None in their place."""
        return [*self._deployments[1], *self._automations[1]]

    def schedules(self) -> Iterator[tuple[Declared, Config]]:
        for each in self.deployments:
            yield from ((each, own) for own in each.config.get("schedules") or [] if own)

    def triggers(self) -> Iterator[tuple[Declared, Config]]:
        for each in self.deployments:
            yield from ((each, own) for own in each.config.get("triggers") or [] if own)

    def actions(self) -> Iterator[tuple[Config, Config]]:
        for each in self.automations:
            yield from ((each, own) for own in each.get("actions") or [] if own)

    @cached_property
    def _deployments(self) -> tuple[list[Declared], list[Told]]:
        return read_deployments(self.prefect_file)

    @cached_property
    def _automations(self) -> tuple[list[tuple[Path, Config]], list[Told]]:
        return read_automations(self.automations_folder)


def strange(where: str, config: object, known: Iterable[str]) -> Problems:
    if isinstance(config, Mapping):
        for key in config:
            if key not in known:
                yield where, f"{key} is a key that Prefect ignores"


def seconds(delta: timedelta) -> str:
    return f"{delta.total_seconds():.0f} s"
