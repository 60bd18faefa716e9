"""What a person sees of a run: its progress while it runs, its headline numbers afterwards."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from flows._shared.answers import Answer, changes
from flows._shared.counted import counted, left_out
from flows._shared.markdown import code, plain, section, table
from flows._shared.orchestration.flow_run import FlowRunApi, current_flow_run, kebab, run_logger

SECONDS_BETWEEN_WRITES = 1.0
RUNS_LOOKED_BACK = 10
# Of flows.people.
PURGE = "purge-person"
CHANGES_TOLD = 12


@dataclass
class _Phase:
    phase: str
    began: float
    done: int = 0
    total: int | None = None
    rows: int | None = None
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return self.total is not None and self.done >= self.total

    def row(self) -> dict[str, object]:
        return {
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "rows": self.rows,
            "seconds": round(self.seconds, 1),
        }


class Progress:
    """Live progress of one flow run: the table artifact ``<slug>-progress``, a row per phase.

    Written about once a second, and at once when a phase begins or completes. Outside a flow run
    nothing is written. A server that does not answer costs the display, never the run.
    """

    def __init__(self, slug: str) -> None:
        self._key = f"{kebab(slug)}-progress"
        self._phases: dict[str, _Phase] = {}
        self._api: FlowRunApi | None = current_flow_run()
        self._artifact_id: UUID | None = None
        self._written_at = float("-inf")
        self._is_written = True

    def update(
        self, phase: str, done: int, total: int | None = None, rows: int | None = None
    ) -> None:
        """``done`` of ``total`` units of the phase (repositories, dbt nodes), ``rows`` so far."""
        now = time.monotonic()
        is_new = phase not in self._phases
        current = self._phases.setdefault(phase, _Phase(phase, began=now))
        current.done, current.total, current.rows = done, total, rows
        current.seconds = now - current.began
        self._is_written = False
        if is_new or current.is_complete or now - self._written_at >= SECONDS_BETWEEN_WRITES:
            self.flush()

    def named(self, phase: str) -> "NamedProgress":
        """The same display with another name for what reports: two builds must not share a line."""
        return NamedProgress(self, phase)

    def flush(self) -> None:
        """Write what the throttle held back."""
        if self._api is None or self._is_written:
            return
        rows = [phase.row() for phase in self._phases.values()]
        self._written_at = time.monotonic()
        try:
            if self._artifact_id is None:
                self._artifact_id = self._api.create_table(self._key, rows, "Progress of this run")
            else:
                self._api.replace_table(self._artifact_id, rows)
            self._is_written = True
        except httpx.HTTPError as error:
            run_logger(__name__).debug("progress was not written: %s", error)


@dataclass(frozen=True)
class NamedProgress:
    """Reports every phase as one of its own name."""

    progress: Progress
    name: str

    def update(
        self, phase: str, done: int, total: int | None = None, rows: int | None = None
    ) -> None:
        self.progress.update(self.name, done, total, rows)


@dataclass(frozen=True)
class RunSummary:
    """The headline numbers of a run; ``seconds`` is wall time, ``look`` says where to look next.

    ``troubles`` are warnings and failures in words, ``notes`` what else a reader should know, a
    line each; ``answer`` is what the domain says now, where this run may have changed it.
    ``models_unchanged`` and ``tests_unchanged`` are those that a build left out, as nothing that
    they read has changed.
    """

    rows_loaded: int
    models_built: int
    tests_passed: int
    warnings: int
    failures: int
    seconds: float
    look: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    troubles: tuple[str, ...] = field(default=())
    answer: Answer | None = None
    models_unchanged: int = 0
    tests_unchanged: int = 0


def publish_load(slug: str, rows: int, told: Sequence[str] = ()) -> None:
    """Keep what a run has loaded, and has to tell of it, before it builds: the table artifact
    ``<slug>-loaded``, from which the summary of a run that fails afterwards tells it.

    Outside a flow run nothing is written. Raises httpx.HTTPError when the server refuses it.
    """
    if api := current_flow_run():
        known: list[dict[str, object]] = [{"measure": "rows_loaded", "value": rows}]
        known += [{"measure": "note", "value": note} for note in told]
        api.create_table(f"{kebab(slug)}-loaded", known, "What the run loaded before it builds")


def publish_summary(slug: str, summary: RunSummary) -> None:
    """Write the keyed artifacts ``<slug>-summary`` (for people) and ``<slug>-run`` (for programs).

    With an answer the summary begins with it, and the artifact ``<slug>-report`` leads to its page
    where the report was published. Outside a flow run nothing is written. Raises httpx.HTTPError
    when the server refuses them.
    """
    api = current_flow_run()
    if api is None:
        return
    key = kebab(slug)
    before = _before(api, key) if summary.answer else None
    page = _page(api, key) if summary.answer else None
    api.create_table(f"{key}-run", _measures(summary), "Headline numbers of the run")
    api.create_markdown(
        f"{key}-summary", _markdown(key, summary, before, page), "Summary of the run"
    )
    if page:
        api.create_markdown(f"{key}-report", page, "The page of the report")


def _before(api: FlowRunApi, key: str) -> Mapping[str, Any] | None:
    """The measures of the newest run that knew its answer.

    What was said before somebody was purged is not repeated.
    """
    found = api.find_artifacts({"key": {"any_": [f"{key}-run", f"{PURGE}-run"]}}, RUNS_LOOKED_BACK)
    for each in found:
        if each["key"] == f"{PURGE}-run":
            return None
        measures = {row["measure"]: row["value"] for row in json.loads(each["data"])}
        if {"headline", "attention", "top"} <= measures.keys():
            return measures
    return None


def _page(api: FlowRunApi, key: str) -> str | None:
    """The link to the domain's page that the report left when it was published."""
    found = api.find_artifacts({"key": {"any_": [f"{key}-report"]}}, 1)
    return str(found[0]["data"]) if found else None


def _measures(summary: RunSummary) -> list[dict[str, object]]:
    values: dict[str, object] = {
        "rows_loaded": summary.rows_loaded,
        "models_built": summary.models_built,
        "models_unchanged": summary.models_unchanged,
        "tests_passed": summary.tests_passed,
        "tests_unchanged": summary.tests_unchanged,
        "warnings": summary.warnings,
        "failures": summary.failures,
        "seconds": round(summary.seconds, 1),
        "look": list(summary.look),
        "state": "completed",
    }
    if summary.answer:
        values |= summary.answer.measures()
    return [{"measure": measure, "value": value} for measure, value in values.items()]


def _markdown(
    title: str, summary: RunSummary, before: Mapping[str, Any] | None, page: str | None
) -> str:
    verdict = (
        f"{summary.failures} failed"
        if summary.failures
        else f"passed with {summary.warnings} warning{'s' if summary.warnings != 1 else ''}"
        if summary.warnings
        else "passed"
    )
    told = f"{title}: {verdict}"
    lines = [*_answered(summary.answer, before), "", f"## {told}"] if summary.answer else []
    lines = lines or [f"# {told}"]
    unchanged = left_out(summary.models_unchanged, summary.tests_unchanged)
    lines += [
        "",
        f"**{counted(summary.rows_loaded, 'row')}** loaded and "
        f"**{counted(summary.models_built, 'model')}** built"
        + (f"; left out as unchanged: {unchanged}" if unchanged else ""),
        "",
        "| measure | value |",
        "|---|---:|",
        f"| rows loaded | {summary.rows_loaded:,} |",
        f"| models built | {summary.models_built} |",
        f"| models left out as unchanged | {summary.models_unchanged} |",
        f"| tests passed | {summary.tests_passed} |",
        f"| tests left out as unchanged | {summary.tests_unchanged} |",
        f"| warnings | {summary.warnings} |",
        f"| failures | {summary.failures} |",
        f"| seconds | {summary.seconds:.1f} |",
    ]
    lines += section("Warnings and failures", [plain(each) for each in summary.troubles])
    lines += section("Notes", [plain(each) for each in summary.notes])
    look = [code(each) for each in summary.look]
    lines += section("Where to look", [*([page] if page else []), *look])
    return "\n".join(lines)


def _answered(answer: Answer, before: Mapping[str, Any] | None) -> list[str]:
    lines = [f"# {plain(answer.headline)}"]
    if answer.chart:
        lines += ["", f"![{plain(answer.alternative)}]({_data_uri(answer.chart)})"]
    if answer.rows:
        lines += ["", f"**{plain(answer.title)}**", "", *table(answer.titles, answer.rows)]
    attention = (*answer.attention, *answer.advice)
    lines += section("What needs attention", [plain(each) for each in attention])
    told = changes(before, answer) if before else ["No earlier answer is known to compare with"]
    more = len(told) - CHANGES_TOLD
    told = told[:CHANGES_TOLD] + ([f"and {more} more"] if more > 0 else [])
    return lines + section(
        "Since the last run", [plain(each) for each in told or ["Nothing has changed"]]
    )


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
