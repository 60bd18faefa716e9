"""Which run each published mart is of, from what builds said of their models.

A build stopped in the middle leaves new marts beside old ones: every build keeps the artifact
``<slug>-dbt-nodes`` with dbt's result for each model, and the newest success is what readers see.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flows._shared.dbt_said import FAILED
from flows._shared.orchestration.dbt_nodes import PASSED, UNCHANGED, read_as
from flows._shared.orchestration.flow_run import FlowRunApi, kebab

# What a build left out is as that build would have made it.
CURRENT = PASSED | {UNCHANGED}
BUILDS_LOOKED_AT = 50
PUBLISHED = "publish"
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
    def models(self) -> dict[str, Mapping[str, Any]]:
        """What was said of each model, by its name."""
        return {str(each["name"]): each for each in self.nodes if each.get("type") == "model"}

    @property
    def marts(self) -> set[str]:
        return {str(each["name"]) for each in self.nodes if each.get("mart")}


@dataclass(frozen=True)
class Mart:
    """A mart and the run whose rows it holds; None where no build that was looked at wrote it.

    A view holds no rows: it shows those of its tables, whichever run they are of.
    """

    name: str
    run: UUID | None
    is_view: bool = False


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


def published_runs(api: FlowRunApi, key: str, runs: Iterable[UUID]) -> set[UUID]:
    """Those of the runs which told that they published, or came to a good end and told nothing."""
    told: dict[UUID, bool] = {}
    progress = {"key": {"any_": [f"{key}-progress"]}}
    for found in api.find_artifacts(progress, BUILDS_LOOKED_AT):
        if found.get("flow_run_id"):
            phases = json.loads(found["data"])
            told[UUID(found["flow_run_id"])] = any(
                each["phase"] == PUBLISHED and each["done"] for each in phases
            )
    silent = [run for run in set(runs) if run not in told]
    completed = api.completed_runs(silent) if silent else set()
    return {run for run, has_published in told.items() if has_published} | completed


def marts_now(builds: Sequence[Build]) -> list[Mart]:
    """Each mart that these builds know, by the newest of them that wrote it.

    A project that marks no model as a mart has all of its models as such. Targets that write the
    same relation write the same mart.
    """
    relations: dict[tuple[str, str], str] = {}
    for build in builds:
        for name, node in build.models.items():
            if node.get("relation"):
                relations.setdefault((build.target, name), str(node["relation"]))
    wanted = {
        target: set().union(*(build.marts for build in there))
        or set().union(*(build.models for build in there))
        for target in {build.target for build in builds}
        if (there := [build for build in builds if build.target == target])
    }
    said: dict[str, list[tuple[Build, str]]] = {}
    for build in builds:
        for name in build.models.keys() & wanted[build.target]:
            place = relations.get((build.target, name), f"{build.target} {name}")
            said.setdefault(place, []).append((build, name))
    return sorted((_mart(each) for each in said.values()), key=lambda mart: mart.name)


def _mart(said: Sequence[tuple[Build, str]]) -> Mart:
    """One relation, of what builds said of it, the newest first."""
    target = min(build.target for build, _ in said)
    nodes = [(build.run, build.models[name]) for build, name in said]
    relation = next((str(node["relation"]) for _, node in nodes if node.get("relation")), None)
    return Mart(
        read_as(said[0][1], relation) + (f" ({target})" if target else ""),
        next((run for run, node in nodes if node.get("status") in CURRENT), None),
        next((kind for _, node in nodes if (kind := node.get("materialized"))), None) == "view",
    )


def whole_copies(builds: Sequence[Build], published: Collection[UUID]) -> list[Build]:
    """The builds that are in a copy which is published whole, after the last one published.

    Args:
        builds: the newest first.
        published: the runs that published.
    """
    for place, build in enumerate(builds):
        if not build.failed and build.run in published:
            return list(builds[place:])
    return []
