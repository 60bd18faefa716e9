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

from dbt import selected_resources, tracking
from dbt.adapters.base import BaseAdapter
from dbt.adapters.factory import get_adapter
from dbt.clients.jinja import get_rendered
from dbt.config import RuntimeConfig
from dbt.context.providers import RuntimeProvider, SourceContext
from dbt.contracts.graph.manifest import Manifest
from dbt.graph import GraphQueue
from dbt.task.build import BuildTask
from dbt.version import __version__
from dbt_common.constants import SECRET_ENV_PREFIX
from dbt_common.exceptions import DbtRuntimeError
from dbt_common.invocation import get_invocation_id

from flows._shared.orchestration.dbt.plan import Kind, PlannedNode
from flows._shared.orchestration.dbt.question import Planning, Question, Warehouse, shown
from flows._shared.orchestration.dbt.recalled import CODE
from flows._shared.orchestration.dbt_memory import Aged, Memory, Source
from flows._shared.orchestration.dbt_nodes import PASSED

# BigQuery has no transaction that holds a model and what is remembered of it.
REMEMBERING = frozenset({"postgres", "duckdb"})
OWN_CLOCK = "moment"
# How a source of dbt-duckdb says that it is a file.
EXTERNAL = "external_location"
TABLE = "built_nodes"
# Of a project whose target names a schema that it may not write to.
SCHEMA_VARIABLE = "built_nodes_schema"
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
# Seconds.
PERIODS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
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
                memory = memory_of(adapter, task.config)
                memory.remember(known, planning.plan.keys, start_of_build().strftime(AT))
                planning.row_counts = memory.row_counts()

    BuildTask.get_graph_queue, BuildTask.after_run = planned_queue, remembered
    try:
        yield
    finally:
        BuildTask.get_graph_queue, BuildTask.after_run = queue, after


class OfDbt:
    """dbt's own connection."""

    # PostgreSQL's and DuckDB's.
    refusals = (DbtRuntimeError,)

    def __init__(self, adapter: BaseAdapter) -> None:
        self._adapter = adapter

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        _, table = self._adapter.execute(sql, auto_begin=True, fetch=True)
        self._adapter.commit_if_has_connection()
        return [tuple(row) for row in table.rows]

    def run(self, sql: str) -> None:
        self._adapter.execute(sql, auto_begin=True)
        self._adapter.commit_if_has_connection()


def memory_of(adapter: BaseAdapter, config: RuntimeConfig) -> Memory:
    relation = str(_relation(adapter, config))
    return Memory(OfDbt(adapter), adapter.type(), relation, get_invocation_id())


def _relation(adapter: BaseAdapter, config: RuntimeConfig) -> Any:
    credentials = config.credentials
    schema = config.vars.to_dict().get(SCHEMA_VARIABLE) or credentials.schema
    return adapter.Relation.create(credentials.database, schema, TABLE, quote_policy=config.quoting)


def _queue_of_plan(task: Any, adapter: BaseAdapter, planning: Planning) -> GraphQueue:
    """As `BuildTask.get_graph_queue` makes it, without what the plan leaves out."""
    spec = task.get_selection_spec()
    selector = task.get_node_selector(no_unit_tests=True)
    runs = selector.get_selected(spec)
    unit_tests = task.get_node_selector().get_selected(spec, warn_on_no_nodes=False) - runs
    planning.question = question_of(task, adapter, runs | unit_tests)
    with adapter.connection_named("plan"):
        _plan(task, adapter, planning)
    left_out = planning.plan.left_out
    runs = {each for each in runs if each not in left_out}
    task.selected_unit_tests = {each for each in unit_tests if each not in left_out}
    task.build_model_to_unit_test_map(task.selected_unit_tests)
    selected_resources.set_selected_resources(runs)
    return GraphQueue(selector.full_graph.get_subset_graph(runs).graph, task.manifest, runs)


def _plan(task: Any, adapter: BaseAdapter, planning: Planning) -> None:
    question = planning.question
    assert question is not None
    memory = memory_of(adapter, task.config)
    there = memory.relations()
    _prepare(memory, adapter, _relation(adapter, task.config), there)
    planning.plan = plan = question.plan(
        memory,
        there,
        build=get_invocation_id(),
        at=start_of_build(),
        leaves_out=planning.leaves_out,
    )
    planning.newest = memory.newest(question.aged, there)
    planning.row_counts = memory.row_counts()
    to_run = [each for each in question.nodes if plan.is_to_run(each.unique_id)]
    written = [each.unique_id for each in to_run if each.kind is Kind.BUILT]
    memory.intend({each: plan.keys[each] for each in written})
    memory.forget({each.unique_id for each in to_run} - set(written))


def _prepare(
    memory: Memory, adapter: BaseAdapter, table: Any, there: Collection[tuple[str, str]]
) -> None:
    """Make the table where it is not among the relations that are there."""
    if (table.schema, TABLE) in there:
        memory.extend()
        return
    if not adapter.check_schema_exists(table.database, table.schema):
        adapter.create_schema(table.without_identifier())
    memory.make()


def question_of(task: Any, adapter: BaseAdapter, selected: Collection[str]) -> Question:
    config, manifest = task.config, task.manifest
    variables = {**config.vars.to_dict(), **config.cli_vars}
    order = graphlib.TopologicalSorter(manifest.parent_map).static_order()
    nodes = [_planned(manifest, each) for each in order if each.partition(".")[0] in KINDS]
    # An ephemeral model and a view hand on what they read.
    reading = [
        each
        for each in nodes
        if each.unique_id in selected or each.is_view or each.kind is Kind.PASSED_ON
    ]
    read = {parent for node in reading for parent in node.parents} & manifest.sources.keys()
    planned = {each.unique_id for each in nodes}
    idle = sorted(set(selected) - planned)
    passed = {each.unique_id for each in nodes if each.kind is Kind.PASSED_ON}.intersection(
        selected
    )
    seen = [_node(manifest, each) for each in selected if each in planned]
    seen += [manifest.exposures[each] for each in idle if each in manifest.exposures]
    warehouse, is_known = _warehouse(adapter, config)
    return Question(
        code=_code(task, variables),
        zones=tuple(sorted(_zones(variables))),
        nodes=tuple(nodes),
        selected=frozenset(selected),
        sources=tuple(_source(manifest.sources[each]) for each in sorted(read)),
        relations={
            each.unique_id: (each.schema, each.alias)
            for each in manifest.nodes.values()
            if each.is_relational
        },
        shown={each.unique_id: shown(each) for each in seen},
        idle=tuple(idle),
        environment=tuple(sorted(_environment_variables(task) | _of_settings(config))),
        warehouse=warehouse,
        aged=tuple(_aged(manifest, config)),
        is_lasting=is_known
        and _is_all_below(manifest, (Path(config.project_root), *CODE))
        and all(each in manifest.exposures for each in idle)
        # dbt runs hooks where there is anything at all to go through.
        and not (
            (idle or passed) and any(each.startswith("operation.") for each in manifest.nodes)
        ),
    )


def _source(source: Any) -> Source:
    return Source(
        source.unique_id,
        source.schema,
        source.identifier,
        source.relation_name,
        is_file=EXTERNAL in {**source.meta, **source.source_meta},
    )


def _aged(manifest: Manifest, config: RuntimeConfig) -> Iterator[Aged]:
    """The sources of a project that have a freshness, as `dbt source freshness` looks at them."""
    for source in sorted(manifest.sources.values(), key=lambda each: each.unique_id):
        limits = source.freshness
        field, query = source.loaded_at_field, source.loaded_at_query
        if source.package_name != config.project_name or not limits or not (field or query):
            continue
        warn, error = (
            PERIODS[str(each.period.value)] * each.count if each and each.count else None
            for each in (limits.warn_after, limits.error_after)
        )
        if warn or error:
            newest = f"select max({field}) from {source.relation_name}"  # noqa: S608
            if query:
                context = SourceContext(source, config, manifest, RuntimeProvider(), None)
                newest = get_rendered(query, context.to_dict(), source)
            place = (source.schema, source.identifier)
            yield Aged(source.name, place, source.relation_name, newest, warn, error)


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


def _code(task: Any, variables: Mapping[str, Any]) -> str:
    """A hash of the code of the project and of dbt, and of all variables, which may be secret."""
    config, manifest = task.config, task.manifest
    code = hashlib.sha256(Path(config.project_root, "dbt_project.yml").read_bytes())
    for name, file in sorted(manifest.files.items()):
        code.update(f"{name}={file.checksum.checksum}\n".encode())
        # dbt looks at the name alone of a seed of more than a megabyte.
        if file.checksum.name == "path":
            code.update(Path(file.path.absolute_path).read_bytes())
    told = [
        [__version__, config.target_name],
        # Late-bound views name the database that they were made in, which a copy is not.
        config.credentials.database,
        variables,
        {name: os.environ.get(name) for name in _environment_variables(task)},
    ]
    code.update(json.dumps(told, sort_keys=True, default=str).encode())
    return code.hexdigest()


def _warehouse(adapter: BaseAdapter, config: RuntimeConfig) -> tuple[Warehouse, bool]:
    """Where it is, and whether that is all that there is to say of the way to it."""
    own = config.credentials
    relation = str(_relation(adapter, config))
    if adapter.type() == "duckdb":
        place = {"database": own.path}
        is_known = Path(own.path).is_absolute() and not (own.attach or own.plugins or own.remote)
        return Warehouse("duckdb", relation, place), is_known
    secrets = {name for name in os.environ if name.startswith(SECRET_ENV_PREFIX)}
    known = sorted(_of_settings(config) | secrets)
    names = [name for name in known if os.environ.get(name) == own.password]
    place = {
        "host": own.host,
        "port": own.port,
        "user": own.user,
        "dbname": own.database,
        "connect_timeout": own.connect_timeout,
        **({"sslmode": own.sslmode} if own.sslmode else {}),
    }
    more = (own.role, own.search_path, own.sslcert, own.sslkey, own.sslrootcert)
    return Warehouse("postgres", relation, place, names[0] if names else None), bool(
        names and not any(more)
    )


def _is_all_below(manifest: Manifest, folders: Collection[Path]) -> bool:
    """Whether dbt read nothing elsewhere, as ``model-paths`` may ask it to."""
    files = [Path(os.path.normpath(each.path.absolute_path)) for each in manifest.files.values()]
    return all(any(file.is_relative_to(each) for each in folders) for file in files)


def _of_settings(config: RuntimeConfig) -> set[str]:
    """The environment variables that the project's settings and its profile name, but secrets."""
    return {*config.profile_env_vars, *config.project_env_vars}


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
