"""dbt told to leave out what cannot have changed: the plan of a build, and where it is remembered.

The warehouse remembers: a model's post-hook (`note_built` of the shared package) writes in the
transaction of the model that this build wrote it, so that whatever ends a build, what is remembered
of a model is true of its rows. dbt-core 1.11 has no place for a plan; this may go once it has.
"""

import graphlib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dbt import selected_resources, tracking
from dbt.adapters.base import BaseAdapter
from dbt.adapters.factory import get_adapter
from dbt.contracts.graph.manifest import Manifest
from dbt.graph import GraphQueue
from dbt.task.build import BuildTask
from dbt.version import __version__
from dbt_common.invocation import get_invocation_id

from flows._shared.orchestration.dbt.plan import (
    Kind,
    Plan,
    PlannedNode,
    Planning,
    plan_build,
)
from flows._shared.orchestration.dbt_memory import Memory
from flows._shared.orchestration.dbt_nodes import PASSED

# BigQuery has no transaction that holds a model and what is remembered of it.
REMEMBERING = frozenset({"postgres", "duckdb"})
OWN_CLOCK = "moment"
# As the post-hook writes it.
AT = "%Y-%m-%d %H:%M UTC"
KINDS = {
    "model": Kind.BUILT,
    "seed": Kind.BUILT,
    "snapshot": Kind.BUILT,
    "test": Kind.DATA_TEST,
    "unit_test": Kind.UNIT_TEST,
    "source": Kind.SOURCE,
}
ENV_VAR = re.compile(r"env_var\(\s*['\"](\w+)['\"]")
# Whether a build was told to publish whatever comes is no matter of its rows.
OF_RUNS = frozenset({"FLOWS_BRAKE"})


@contextmanager
def planned(planning: Planning) -> Iterator[None]:
    """While it lasts, ``dbt build`` plans before its first node and remembers after its last."""
    queue, after = BuildTask.get_graph_queue, BuildTask.after_run

    def planned_queue(task: BuildTask) -> GraphQueue:
        adapter = get_adapter(task.config)
        if adapter.type() not in REMEMBERING:
            return queue(task)
        return _queue_of_plan(task, adapter, planning)

    def remembered(task: BuildTask, adapter: BaseAdapter, results: Sequence[Any]) -> None:
        after(task, adapter, results)
        done = [each.node for each in results if str(each.status) in PASSED]
        known = [each for each in done if planning.plan.keys.get(each.unique_id)]
        if known:
            with adapter.connection_named("plan"):
                at = start_of_build().strftime(AT)
                Memory(adapter, task.config).remember(known, planning.plan.keys, at)

    BuildTask.get_graph_queue, BuildTask.after_run = planned_queue, remembered
    try:
        yield
    finally:
        BuildTask.get_graph_queue, BuildTask.after_run = queue, after


def _queue_of_plan(task: Any, adapter: BaseAdapter, planning: Planning) -> GraphQueue:
    """As `BuildTask.get_graph_queue` makes it, without what the plan leaves out."""
    spec = task.get_selection_spec()
    selector = task.get_node_selector(no_unit_tests=True)
    runs = selector.get_selected(spec)
    unit_tests = task.get_node_selector().get_selected(spec, warn_on_no_nodes=False) - runs
    with adapter.connection_named("plan"):
        memory = Memory(adapter, task.config)
        planning.plan = _plan(task, memory, runs | unit_tests, planning.leaves_out)
    left_out = planning.plan.left_out
    planning.left_out = [(_node(task.manifest, name), last) for name, last in left_out.items()]
    runs = {each for each in runs if each not in left_out}
    task.selected_unit_tests = {each for each in unit_tests if each not in left_out}
    task.build_model_to_unit_test_map(task.selected_unit_tests)
    selected_resources.set_selected_resources(runs)
    return GraphQueue(selector.full_graph.get_subset_graph(runs).graph, task.manifest, runs)


def _plan(task: Any, memory: "Memory", selected: Collection[str], leaves_out: bool) -> Plan:
    manifest: Manifest = task.manifest
    there = memory.relations()
    memory.prepare(there)
    order = graphlib.TopologicalSorter(manifest.parent_map).static_order()
    nodes = [_planned(manifest, each) for each in order if each.partition(".")[0] in KINDS]
    # An ephemeral model and a view hand on what they read.
    reading = [
        each
        for each in nodes
        if each.unique_id in selected or each.is_view or each.kind is Kind.PASSED_ON
    ]
    read = {parent for node in reading for parent in node.parents} & manifest.sources.keys()
    plan = plan_build(
        nodes,
        selected=selected,
        build=get_invocation_id(),
        surroundings=_surroundings(task, memory),
        versions=memory.versions([manifest.sources[each] for each in sorted(read)], there),
        successes=memory.successes(),
        there={
            each.unique_id: there[each.schema, each.alias]
            for each in manifest.nodes.values()
            if each.is_relational and (each.schema, each.alias) in there
        },
        leaves_out=leaves_out,
    )
    to_run = [each for each in nodes if plan.is_to_run(each.unique_id)]
    written = [each.unique_id for each in to_run if each.kind is Kind.BUILT]
    memory.intend({each: plan.keys[each] for each in written})
    memory.forget({each.unique_id for each in to_run} - set(written))
    return plan


def _node(manifest: Manifest, unique_id: str) -> Any:
    return manifest.nodes.get(unique_id) or manifest.unit_tests[unique_id]


def _planned(manifest: Manifest, unique_id: str) -> PlannedNode:
    kind = KINDS[unique_id.partition(".")[0]]
    if kind is Kind.SOURCE:
        return PlannedNode(unique_id, kind)
    node = _node(manifest, unique_id)
    if kind is Kind.BUILT and node.is_ephemeral_model:
        kind = Kind.PASSED_ON
    return PlannedNode(
        unique_id,
        kind,
        tuple(manifest.parent_map[unique_id]),
        is_view=kind is Kind.BUILT and node.config.materialized.endswith("view"),
        has_own_clock=node.config.meta.get("clock") == OWN_CLOCK,
    )


def _surroundings(task: Any, memory: Memory) -> str:
    """The code of the project and of dbt, all variables, the day, here and in the business, and
    what of the warehouse is in no table. It is hashed, and never said: variables may be secret."""
    config, manifest = task.config, task.manifest
    variables = {**config.vars.to_dict(), **config.cli_vars}
    started = start_of_build()
    zones = sorted(_zones(variables))
    code = hashlib.sha256(Path(config.project_root, "dbt_project.yml").read_bytes())
    for name, file in sorted(manifest.files.items()):
        code.update(f"{name}={file.checksum.checksum}\n".encode())
        # dbt looks at the name alone of a seed of more than a megabyte.
        if file.checksum.name == "path":
            code.update(Path(file.path.absolute_path).read_bytes())
    return json.dumps(
        [
            [__version__, config.target_name, code.hexdigest()],
            # Late-bound views name the database that they were made in, which a copy is not.
            [config.credentials.database, memory.beside()],
            variables,
            {name: os.environ.get(name) for name in _environment_variables(task)},
            [f"{started.astimezone(ZoneInfo(zone)):%Y-%m-%d}" for zone in ("UTC", *zones)],
        ],
        sort_keys=True,
        default=str,
    )


def _environment_variables(task: Any) -> set[str]:
    """Those that dbt saw as it parsed, and those that are read only while a model is made."""
    manifest, own = task.manifest, set(task.config.load_dependencies())
    names = set(manifest.env_vars)
    for macro in manifest.macros.values():
        if macro.package_name in own:
            names.update(ENV_VAR.findall(macro.macro_sql))
    for node in manifest.nodes.values():
        names.update(ENV_VAR.findall(node.raw_code))
    return names - OF_RUNS


def start_of_build() -> datetime:
    """The ``run_started_at`` of models."""
    started: datetime = tracking.active_user.run_started_at
    return started


def _zones(variables: Mapping[str, Any]) -> Iterator[str]:
    """Of variables such as ``business_timezone``, of whichever project."""
    for name, told in variables.items():
        if isinstance(told, Mapping):
            yield from _zones(told)
        elif name.endswith("timezone") and isinstance(told, str):
            yield told
