"""Which run each published mart is of, from what builds said of their models.

A build stopped in the middle leaves new marts beside old ones: every build keeps the artifact
``<slug>-dbt-nodes`` with dbt's result for each model, and the newest success is what readers see.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flows._shared.orchestration.dbt_nodes import FAILED, PASSED
from flows._shared.orchestration.flow_run import FlowRunApi, kebab

BUILDS_LOOKED_AT = 50
WRITES_NO_MART = ("test", "docs-generate", "source-freshness", "run-operation", "seed", "snapshot")


@dataclass(frozen=True)
class Build:
    """What one build said of its nodes; ``target`` is empty for the profile's own."""

    run: UUID
    target: str
    nodes: Sequence[Mapping[str, Any]]

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(str(each["name"]) for each in self.nodes if each.get("status") in FAILED)

    @property
    def models(self) -> dict[str, str]:
        """dbt's status of each model, by its name."""
        return {
            str(each["name"]): str(each.get("status"))
            for each in self.nodes
            if each.get("type") == "model"
        }

    @property
    def marts(self) -> set[str]:
        return {str(each["name"]) for each in self.nodes if each.get("mart")}


@dataclass(frozen=True)
class Mart:
    """A mart and the run whose rows it holds; None where no build that was looked at wrote it."""

    name: str
    run: UUID | None


def read_builds(api: FlowRunApi, project: str) -> list[Build]:
    """The newest builds of a project, of any run, the newest first."""
    prefix = f"{kebab(project)}-dbt-nodes"
    builds = []
    for found in api.find_artifacts({"key": {"like_": prefix}}, BUILDS_LOOKED_AT):
        key, run = str(found["key"]), found.get("flow_run_id")
        rest = key.removeprefix(prefix).lstrip("-")
        if not key.startswith(prefix) or not run or rest.startswith(WRITES_NO_MART):
            continue
        builds.append(Build(UUID(run), rest, json.loads(found["data"])))
    return builds


def marts_now(builds: Sequence[Build]) -> list[Mart]:
    """Each mart that these builds know, by the newest of them that wrote it.

    A project that marks no model as a mart has all of its models as such.
    """
    marts = []
    for target in sorted({build.target for build in builds}):
        there = [build for build in builds if build.target == target]
        names = set().union(*(build.marts for build in there)) or set().union(
            *(build.models for build in there)
        )
        of = f" ({target})" if target else ""
        for name in sorted(names):
            writers = (build.run for build in there if build.models.get(name) in PASSED)
            marts.append(Mart(name + of, next(writers, None)))
    return marts


def whole_copies(builds: Sequence[Build], run: UUID, *, has_published: bool) -> list[Build]:
    """The builds that are in a copy which is published whole, after the last build that was good.

    Args:
        builds: the newest first.
        run: the run that failed, whose build is in the copy only if it published.
    """
    for place, build in enumerate(builds):
        if not build.failed and (build.run != run or has_published):
            return list(builds[place:])
    return []
