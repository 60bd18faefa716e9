"""A run that ends badly says so where its summary would be: ``<slug>-summary``, ``<slug>-run``.

    @summarized("scout")
    @flow(name="scout")
    def refresh(...): ...

It is written by hooks, so that it is there for a run that failed, crashed or was cancelled, also by
the worker that finds the process of a run gone. Only what Prefect asks no hook about says nothing:
a pod that is killed together with what would have spoken for it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import psycopg
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import MissingResult

from flows._shared.counted import counted
from flows._shared.errors import PlatformError
from flows._shared.markdown import plain
from flows._shared.orchestration.dbt_nodes import TESTS, UNCHANGED
from flows._shared.orchestration.flow_run import FlowRunApi, kebab
from flows._shared.orchestration.published import (
    Build,
    Mart,
    marts_now,
    published_runs,
    read_builds,
    whole_copies,
)
from flows._shared.refusals import rule_of
from flows._shared.secrets import without_secrets

P = ParamSpec("P")
R = TypeVar("R")
Told = Mapping[str, Any]

ITEMS_TOLD = 10
FAILED_NODES_TOLD = 10
SAYS_IT_FAILED = ": this run failed"
LOG = "Read the log of the run, mend the cause and run it again."
EXIT_CODE = re.compile(r"status code:? (-?\d+)")


@dataclass(frozen=True)
class Reason:
    """Why a run ended badly and what the reader can do: a sentence each, and a list where the
    error has one."""

    how: str
    why: str
    remedy: str


def summarized(
    slug: str, project: str | None = None, *, is_published_whole: bool = False
) -> Callable[[Flow[P, R]], Flow[P, R]]:
    """A flow whose summary is written by every run: by itself if it is well, else from here.

    Args:
        slug: what the flow calls `publish_summary` with.
        project: the dbt project whose marts readers see; the slug's own if it has no other.
        is_published_whole: readers see a copy that the flow publishes after a good build, which it
            tells as the complete phase "publish" of its progress.
    """

    def tell(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
        api = FlowRunApi(flow_run.id, None, get_client(sync_client=True))
        own = {str(each["key"]): each for each in reversed(api.find_own_artifacts())}
        key = kebab(slug)
        before = own.get(f"{key}-summary")
        numbers = own.get(f"{key}-run")
        if before and {"measure": "state", "value": "failed"} in _rows(numbers):
            return
        builds = read_builds(api, project or slug)
        progress = _rows(own.get(f"{key}-progress"))
        mine = [build for build in builds if build.run == flow_run.id]
        if is_published_whole:
            runs = {build.run for build in builds} - {flow_run.id}
            builds = whole_copies(builds, published_runs(api, key, runs))
        reason = reason_of(state)
        text = "\n".join(
            [
                f"# {key}{SAYS_IT_FAILED} {_stage(progress, mine)}{reason.how}",
                "",
                f"**Why:** {reason.why}",
                "",
                f"**What to do:** {reason.remedy}",
                "",
                *([] if before else _loaded(_rows(own.get(f"{key}-loaded")))),
                *_readers_see(api, marts_now(builds)),
                *_failed_in_dbt(mine),
                *(["", "---", "", str(before["data"])] if before else []),
            ]
        )
        if before:
            api.replace(UUID(before["id"]), text)
        else:
            api.create_markdown(f"{key}-summary", text, "Summary of the run")
        loaded = [each for each in _rows(own.get(f"{key}-loaded")) if each["measure"] != "note"]
        measures = _measures([*loaded, *_rows(numbers)], mine)
        if numbers:
            api.replace_table(UUID(numbers["id"]), measures)
        else:
            api.create_table(f"{key}-run", measures, "Headline numbers of the run")

    def register(flow: Flow[P, R]) -> Flow[P, R]:
        tell.__name__ = tell.__qualname__ = "summarize the run that did not end well"
        flow.on_failure(tell)
        flow.on_crashed(tell)
        flow.on_cancellation(tell)
        return flow

    return register


def reason_of(state: State[Any]) -> Reason:
    """Only an error of ours is quoted: what others say in theirs may hold what nobody may read."""
    if state.is_cancelling() or state.is_cancelled():
        return Reason(
            ": it was cancelled",
            "Somebody, or an automation, cancelled it.",
            "Run it again when it may go on; what is loaded is not loaded twice.",
        )
    error = _error_of(state)
    if isinstance(error, PlatformError):
        return Reason("", paragraph(f"{error.attempted}: {error.seen}"), paragraph(error.remedy))
    if state.is_crashed():
        code = EXIT_CODE.search(state.message or "")
        told = f" (exit code {code[1]})" if code else f" ({type(error).__name__})" if error else ""
        return Reason(
            ": it crashed",
            f"Its process was stopped, or lost, before it came to its end{told}.",
            "Look in the log of the run for a lack of memory or a worker that was stopped, and run "
            "it again; what is loaded is not loaded twice.",
        )
    if isinstance(error, psycopg.IntegrityError) and error.diag.table_name:
        return Reason("", f"The database refused a row: {sentence(rule_of(error))}.", LOG)
    kind = type(error).__name__ if error else "An error that left no trace"
    return Reason("", f"{kind}, which is no error that this flow expects.", LOG)


def paragraph(text: str) -> str:
    """Plain text of several lines as a sentence and a list: no secret, no markup, of much the
    beginning."""
    first, *more = [line for line in without_secrets(text).splitlines() if line.strip()] or [""]
    items = [f"- {sentence(line.strip().removeprefix('- '))}" for line in more[:ITEMS_TOLD]]
    if len(more) > ITEMS_TOLD:
        items.append(f"- and {counted(len(more) - ITEMS_TOLD, 'more line')}, in the log of the run")
    told = sentence(first)
    if not items:
        return f"{told}."
    return "\n".join([told if told.endswith(":") else f"{told}:", "", *items])


def sentence(text: str) -> str:
    """One line of plain text: no secret, no markup, and of much the beginning."""
    return plain(text.rstrip(". \n"))


def _error_of(state: State[Any]) -> BaseException | None:
    try:
        error = state.result(raise_on_failure=False)
    except MissingResult:
        # The process that raised it is gone.
        return None
    return error if isinstance(error, BaseException) else None


def _rows(artifact: Told | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(artifact["data"]) if artifact else []
    return rows


def _stage(progress: Sequence[Told], builds: Sequence[Build]) -> str:
    if any(build.failed for build in builds):
        return "at dbt"
    if not progress:
        return "before its first stage"
    last = progress[-1]
    is_complete = last["total"] is not None and last["done"] >= last["total"]
    return f"after {last['phase']}" if is_complete else f"at {last['phase']}"


def _loaded(known: Sequence[Told]) -> list[str]:
    """What the run had loaded and told of it before it failed; rejections are among it."""
    told: list[str] = []
    notes = [str(each["value"]) for each in known if each["measure"] == "note"]
    for each in known:
        if each["measure"] == "rows_loaded":
            told = [f"**What it loaded, which stays:** {counted(each['value'], 'row')}."]
    more = len(notes) - ITEMS_TOLD
    items = [f"- {sentence(note)}" for note in notes[:ITEMS_TOLD]]
    items += [f"- and {counted(more, 'more note')}, in the log of the run"] if more > 0 else []
    return [*told, *(["", *items] if items else []), *([""] if told else [])]


def _readers_see(api: FlowRunApi, marts: Sequence[Mart]) -> list[str]:
    tables = [mart for mart in marts if not mart.is_view]
    mine = sum(mart.run == api.flow_run_id for mart in tables)
    older = sum(mart.run not in (None, api.flow_run_id) for mart in tables)
    if not mine and not older:
        seen = "what was there before: this run built no mart, and no earlier build is known"
    elif not older:
        seen = "the marts of this run"
    elif not mine:
        seen = "the marts as earlier runs left them; none is of this run"
    else:
        seen = f"a mix: {mine} marts of this run beside {older} of earlier ones"
    return [f"**What readers see now:** {seen}.", *_table(api, marts)]


def _failed_in_dbt(mine: Sequence[Build]) -> list[str]:
    failed = [name for build in mine for name in build.failed]
    if not failed:
        return []
    more = len(failed) - FAILED_NODES_TOLD
    told = ", ".join(failed[:FAILED_NODES_TOLD]) + (f" and {more} more" if more > 0 else "")
    return ["", f"**Failed in dbt:** {told}. A test that fails takes no mart back."]


def _table(api: FlowRunApi, marts: Sequence[Mart]) -> list[str]:
    if not marts:
        return []
    by_run: dict[UUID | None, list[str]] = {}
    views = [mart.name for mart in marts if mart.is_view and mart.run]
    for mart in marts:
        if mart.is_view and mart.run:
            continue
        by_run.setdefault(mart.run, []).append(mart.name)
    names = api.describe_runs([run for run in by_run if run])
    lines = ["", "| of the run | marts |", "|---|---|"]
    for run, told in sorted(by_run.items(), key=lambda each: each[0] != api.flow_run_id):
        if run is None:
            of = "none that is known"
        elif run == api.flow_run_id:
            of = "this run"
        else:
            of = sentence(names.get(run, str(run)))
        lines.append(f"| {of} | {', '.join(told)} |")
    if views:
        lines.append(f"| whichever the tables are of that these views show | {', '.join(views)} |")
    return lines


def _measures(known: Sequence[Told], mine: Sequence[Build]) -> list[dict[str, Any]]:
    nodes = [node for build in mine for node in build.nodes]
    values: dict[str, Any] = {
        "rows_loaded": None,
        "models_built": sum(n["type"] == "model" and n["status"] == "success" for n in nodes),
        "models_unchanged": sum(n["type"] == "model" and n["status"] == UNCHANGED for n in nodes),
        "tests_passed": sum(n["type"] in TESTS and n["status"] == "pass" for n in nodes),
        "tests_unchanged": sum(n["type"] in TESTS and n["status"] == UNCHANGED for n in nodes),
        "warnings": sum(n["status"] == "warn" for n in nodes),
        "failures": sum(len(build.failed) for build in mine),
        "seconds": None,
        "look": [],
    }
    values |= {str(each["measure"]): each["value"] for each in known}
    values |= {"failures": max(values["failures"] or 0, 1), "state": "failed"}
    return [{"measure": measure, "value": value} for measure, value in values.items()]
