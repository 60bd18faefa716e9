"""Results of nodes as dbt tells them: kept, published, and judged."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from flows._shared.counted import counted
from flows._shared.dbt_said import FAILED
from flows._shared.orchestration.dbt.job import Job
from flows._shared.orchestration.dbt.options import DbtOptions
from flows._shared.orchestration.dbt.outcome import (
    DbtBuildError,
    DbtFreshnessError,
    DbtOutcome,
    DbtProjectError,
)
from flows._shared.orchestration.dbt.plan import LastSuccess
from flows._shared.orchestration.dbt.question import Planning, Shown
from flows._shared.orchestration.dbt_nodes import (
    NO_OP,
    PASSED,
    TESTS,
    UNCHANGED,
    NodeResult,
    NodeWatch,
    is_mart,
    read_as,
    worded,
)
from flows._shared.orchestration.flow_run import FlowRunApi

HOURS_TOLD = 72
STOPPED_BY_BRAKE = "The brake stopped"
MACRO = re.compile(r"\s*>\s+(?:in|called by) macro ")


def results_of(result: Any) -> Iterable[Any]:
    return getattr(result.result, "results", None) or ()


def unchanged_result(node: Shown, last: LastSuccess) -> NodeResult:
    did = "passed" if node.resource_type in TESTS else "built"
    since = "its code is" if node.resource_type == "unit_test" else "its code and what it reads are"
    return _untouched(node, UNCHANGED, f"left out: {did} at {last.at}, and {since} as then")


def idle_result(node: Shown) -> NodeResult:
    """Of a node that a build only names."""
    return _untouched(node, NO_OP, worded(NO_OP, ""))


def _untouched(node: Shown, status: str, message: str) -> NodeResult:
    return NodeResult(
        unique_id=node.unique_id,
        name=node.name,
        resource_type=node.resource_type,
        status=status,
        rows=None,
        seconds=0.0,
        message=message,
        relation=node.relation,
        is_mart=node.is_mart,
        materialized=node.materialized,
        description=node.description,
    )


def node_result(job: Job, result: Any, watch: NodeWatch) -> NodeResult:
    node = getattr(result, "node", None)
    unique_id = node.unique_id if node else result.unique_id
    kind = str(node.resource_type) if node else unique_id.partition(".")[0]
    status = str(result.status)
    return NodeResult(
        unique_id=unique_id,
        name=node.name if node else unique_id.rpartition(".")[2],
        resource_type=kind,
        status=status,
        rows=_rows(result, kind),
        seconds=round(result.execution_time or 0.0, 3),
        message=_message(job, result, watch, unique_id),
        relation=getattr(node, "relation_name", None),
        compiled_path=_keep_compiled(job, node, kind) if status in FAILED else None,
        description=" ".join(str(getattr(node, "description", "")).split()),
        **_shape(node),
    )


def _shape(node: Any) -> dict[str, Any]:
    return {
        "is_mart": is_mart(node),
        "materialized": getattr(getattr(node, "config", None), "materialized", None),
    }


def stopped_results(watch: NodeWatch) -> tuple[NodeResult, ...]:
    """What is known of a build that ended before dbt gave its results."""
    return tuple(
        NodeResult(
            seen.unique_id,
            seen.name,
            seen.resource_type,
            seen.status if seen.is_finished else "error",
            None,
            round(((seen.finished_at or seen.started_at) - seen.started_at).total_seconds(), 3),
            seen.message,
            None,
        )
        for seen in watch.statuses.values()
    )


def _rows(result: Any, kind: str) -> int | None:
    if kind in TESTS:
        failures = getattr(result, "failures", None)
        return int(failures) if failures is not None else None
    affected = (getattr(result, "adapter_response", None) or {}).get("rows_affected")
    # dbt-postgres says -1 where the statement has no row count, as for a view.
    return int(affected) if isinstance(affected, int) and affected >= 0 else None


def _message(job: Job, result: Any, watch: NodeWatch, unique_id: str) -> str:
    if result.message:
        return worded(str(result.status), job.redact(str(result.message)))
    if getattr(result, "max_loaded_at", None):
        return _age(result)
    seen = watch.statuses.get(unique_id)
    return seen.message if seen else worded(str(result.status), "")


def _age(result: Any) -> str:
    """How old a source is, and how old it may be."""
    limits = getattr(result.node, "freshness", None)
    allowed = [
        f"{what} after {counted(limit.count, str(limit.period.value))}"
        for what, limit in (
            ("a warning", getattr(limits, "warn_after", None)),
            ("an error", getattr(limits, "error_after", None)),
        )
        if limit is not None and limit.count
    ]
    hours = round(result.age / 3600)
    age = counted(hours, "hour") if hours < HOURS_TOLD else counted(hours // 24, "day")
    age = age if hours else "less than an hour"
    told = f"newest of {result.max_loaded_at:%Y-%m-%d %H:%M} UTC, {age} old when it was looked at"
    return "; ".join([told, ", ".join(allowed)]) if allowed else told


def _keep_compiled(job: Job, node: Any, kind: str) -> str | None:
    code = getattr(node, "compiled_code", None)
    if not code:
        return None
    path = job.artifacts_dir / "compiled" / f"{kind}.{node.name}.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(job.redact(code), encoding="utf-8")
    return str(path)


def keep_artifacts(job: Job, verb: str) -> None:
    names = ["manifest.json"]
    names += ["sources.json"] if verb == "source freshness" else ["run_results.json"]
    for name in names:
        source = job.target_path / name
        if source.is_file():
            text = job.redact(source.read_text(encoding="utf-8"))
            (job.artifacts_dir / name).write_text(text, encoding="utf-8")


def publish_nodes(job: Job, api: FlowRunApi, outcome: DbtOutcome) -> None:
    rows = [
        {
            "name": node.name,
            "type": node.resource_type,
            "status": node.status,
            "rows": node.rows,
            "seconds": node.seconds,
            "message": node.message[:500],
            "compiled_sql": node.compiled_path,
            "mart": node.is_mart,
            "materialized": node.materialized,
            "relation": node.relation,
        }
        for node in sorted(outcome.nodes, key=_worst_first)
    ]
    try:
        api.create_table(_nodes_key(job), rows, f"{job.attempted}, by node")
    except httpx.HTTPError as error:
        job.logger.warning("the table of dbt nodes was not published: %s", error)


def publish_freshness(job: Job, api: FlowRunApi, planning: Planning, outcome: DbtOutcome) -> None:
    """The artifact ``<slug>-freshness``: how new each source was at the build, and may be; and
    which marts are as this build would have them, and the rows of those that are counted."""
    if planning.question is None:
        return
    rows: list[dict[str, object]] = [
        {
            "kind": "source",
            "name": each.name,
            "newest": None if moment is None else f"{datetime.fromtimestamp(moment, UTC):%FT%TZ}",
            "warn_after": each.warn_after,
            "error_after": each.error_after,
        }
        for each in planning.question.aged
        if each.name in planning.newest
        for moment in [planning.newest[each.name]]
    ]
    rows += [
        {
            "kind": "mart",
            "name": read_as(node.name, node.relation),
            "is_current": node.status in PASSED | {UNCHANGED},
            "rows": planning.row_counts.get(node.unique_id),
        }
        for node in outcome.nodes
        if node.is_mart
    ]
    key = f"{job.project}-freshness".lower().replace("_", "-")
    try:
        api.create_table(key, rows, "How new sources and marts were at the build")
    except httpx.HTTPError as error:
        job.logger.warning("the table of their freshness was not published: %s", error)


def _nodes_key(job: Job) -> str:
    """``<slug>-dbt-nodes`` is the build for the default target; other commands and targets have
    keys of their own, so that none hides another."""
    command = "" if job.command == "build" else job.command.partition(" --")[0]
    parts = (job.project, "dbt-nodes", command, job.target or "")
    return "-".join(re.sub("[^a-z0-9]+", "-", part.lower()) for part in parts if part)


def _worst_first(node: NodeResult) -> int:
    if node.status in FAILED:
        return 0
    return {"warn": 1, "skipped": 2, UNCHANGED: 4}.get(node.status, 3)


def refuse_empty(
    job: Job, outcome: DbtOutcome, unmatched: Sequence[str], options: DbtOptions
) -> None:
    asked = {part for selector in options.select for part in re.split(r"[\s,]+", selector)}
    missed = [selector for selector in unmatched if selector in asked]
    if outcome.nodes and not missed:
        return
    selection = ", ".join(missed or options.select) or "the whole project"
    excluded = f" without {', '.join(options.exclude)}" if options.exclude else ""
    raise DbtProjectError(
        job.attempted,
        f"the selection matches no node: {selection}{excluded}",
        "Check its spelling with `dbt ls --select ...` in the project's folder",
    )


def _without_macros(message: str) -> str:
    """What dbt adds of where a macro was called helps nobody who reads the rest."""
    return "\n".join(line for line in message.splitlines() if not MACRO.match(line))


def failure_of(job: Job, outcome: DbtOutcome, verb: str) -> DbtBuildError:
    lines = []
    for node in outcome.failed:
        where = f" (SQL: {node.compiled_path})" if node.compiled_path else ""
        message = " ".join(_without_macros(node.message).split())
        lines.append(f"{node.label}: {node.status}, {message or 'no message'}{where}")
    behind = counted(len(outcome.skipped), "node that needs", "nodes that need")
    skipped = f"; {behind} them skipped" if outcome.skipped else ""
    failed = f"{outcome.failures} of {counted(len(outcome.nodes), 'node')} failed"
    seen = f"{failed}{skipped}\n" + "\n".join(lines)
    if verb == "source freshness":
        remedy = "Find out why these sources were not loaded, then run their refresh"
        return DbtFreshnessError(job.attempted, seen, remedy, outcome)
    remedy = f"Run the SQL named above to see the rows; results are in {outcome.artifacts_dir}"
    if any(STOPPED_BY_BRAKE in node.message for node in outcome.failed):
        remedy = (
            "Find out why these tables fell; where that is right, run once with "
            f"""-p dbt='{{"release_brake": true}}'. Results are in {outcome.artifacts_dir}"""
        )
    return DbtBuildError(job.attempted, seen, remedy, outcome)
