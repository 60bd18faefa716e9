"""The runs on the page of operations: those that were, and those that nobody takes up."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flows.report import charts, words
from flows.report.records import Column, Figure, Row

BAD = ("FAILED", "CRASHED")
ENDED = (*BAD, "COMPLETED", "CANCELLED")
SHOWN = 100
# What Prefect sets before the text of an exception.
WRAPPER = re.compile(r"^(?:Flow|Task) run encountered an exception: *(?:[A-Za-z_][\w.]*: )?")


def run_of(row: Row) -> dict[str, Any]:
    state = row.get("state") or {}
    return {
        "run": row["name"],
        "deployment": row.get("deployment") or "not known",
        "state": row.get("state_name") or state.get("name"),
        "state_type": row.get("state_type") or state.get("type"),
        "started": moment(row.get("start_time")),
        "ended": moment(row.get("end_time")),
        # The server counts the time of a run when it ends.
        "seconds": row.get("total_run_time") if row.get("end_time") else None,
        "message": words.without_paths(WRAPPER.sub("", state.get("message") or "").strip()),
    }


def moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None


def latest_of(runs: Sequence[Row]) -> list[Row]:
    """The newest run that has ended of each deployment."""
    newest: dict[str, Row] = {}
    for row in runs:
        if row["started"] and row["state_type"] in ENDED:
            newest.setdefault(row["deployment"], row)
    return [newest[name] for name in sorted(newest)]


def nobody_took(waiting: Sequence[Row]) -> str:
    first = waiting[0]
    return (
        f"{words.count(len(waiting), 'run waits', 'runs wait')} to be taken up, the first of "
        f"{words.text(first['deployment'])} since "
        f"{words.text(moment(first['expected_start_time']))} UTC: `flows doctor` says whether a "
        "worker is there"
    )


def waiting_figure(waiting: Sequence[Row], now: datetime) -> Figure:
    rows = [
        {
            "run": row["name"],
            "deployment": row["deployment"],
            "state": row.get("state_name"),
            "due": due,
            "age": (now - due).total_seconds() if due else None,
        }
        for row in waiting[:SHOWN]
        for due in [moment(row["expected_start_time"])]
    ]
    return Figure(
        key="waiting",
        title="Runs that nobody has taken up",
        answer=f"{nobody_took(waiting)}.",
        source=None,
        columns=(
            Column("deployment", "Deployment"),
            Column("state", "State"),
            Column("due", "Due, UTC", "date"),
            Column("age", "Ago", "seconds"),
            Column("run", "Run", "long"),
        ),
        rows=rows,
        as_of=f"{now:%Y-%m-%d %H:%M} UTC",
        note="From the Prefect API: due for more than ten minutes, and not begun.",
    )


def deployments_figure(latest: Sequence[Row], now: datetime) -> Figure:
    rows = [
        {**row, "age": (now - row["started"]).total_seconds()}
        for row in sorted(latest, key=lambda row: row["state_type"] not in BAD)
    ]
    failing = sum(1 for row in rows if row["state_type"] in BAD)
    return Figure(
        key="deployments",
        title="The last run of each deployment",
        answer=(
            f"{words.number(failing)} of {words.count(len(rows), 'deployment')} failed in the last "
            "run that has ended."
        ),
        source=None,
        columns=(
            Column("deployment", "Deployment"),
            Column("state", "State"),
            *_message(rows),
            Column("started", "Started, UTC", "date"),
            Column("age", "Ago", "seconds"),
            Column("seconds", "Took", "seconds"),
            Column("run", "Run", "long"),
        ),
        rows=rows,
        as_of=f"{now:%Y-%m-%d %H:%M} UTC",
        note="From the Prefect API. A run that is under way is among the runs below.",
    )


def _message(rows: Sequence[Row]) -> tuple[Column, ...]:
    """What runs said, where one did: those that end well say nothing."""
    return (Column("message", "Says", "folded"),) if any(row["message"] for row in rows) else ()


def runs_figure(runs: Sequence[Row]) -> Figure:
    ended = [row for row in runs if words.finite(row["seconds"]) is not None]
    longest = ""
    if ended:
        slow = max(ended, key=lambda row: float(row["seconds"]))
        took = f"{words.duration(slow['seconds'])} ({words.text(slow['deployment'])})"
        longest = f"; the longest took {took}"
    failed = sum(1 for row in runs if row["state_type"] in BAD)
    return Figure(
        key="runs",
        title="Runs",
        answer=(f"{words.count(len(runs), 'run')}, {words.number(failed)} failed{longest}."),
        source=None,
        columns=(
            Column("started", "Started, UTC", "date"),
            Column("deployment", "Deployment"),
            Column("state", "State"),
            *_message(runs[:SHOWN]),
            Column("seconds", "Took", "seconds"),
            Column("run", "Run", "long"),
        ),
        rows=runs[:SHOWN],
        as_of=words.text(runs[0]["started"]),
        chart=charts.spans(
            runs,
            "started",
            "ended",
            "deployment",
            "state",
            "Runs from their start to their end by deployment, marked by their state: "
            f"{words.count(len(runs), 'run')}, {failed} failed.",
        ),
        note="The newest runs that the Prefect server knows.",
    )
