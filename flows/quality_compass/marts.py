"""Reads the report's comparison back: what changed between the newest run and the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from flows._shared.counted import counted

TOLD = ("worse", "new", "better", "gone", "unclear")

CHANGES = "analytics.rpt_quality_changes"
FIRST = f"""
select
    change, facility_id, metric_id, groupby_label, group_value, signal_type, previous_signal_type,
    severity_score, previous_severity_score
from {CHANGES}
order by change, place
"""  # noqa: S608
OTHER_SETS = """
select distinct coalesce(runs.run_set, '') from analytics.stg_runs as runs
where runs.run_set is distinct from %s
    and exists (select 1 from analytics.fct_signals as found where found.run_id = runs.run_id)
order by 1
"""
SILENT = """
select runs.run_id from analytics.stg_runs as runs
where (runs.run_at, runs.run_id) > (
        select coalesce(max(latest.run_at), '-infinity'), coalesce(max(latest.run_id), '')
        from analytics.stg_runs as latest where latest.run_id = %s
    )
    and not exists (select 1 from analytics.fct_signals as found where found.run_id = runs.run_id)
order by runs.run_at, runs.run_id
"""


@dataclass(frozen=True)
class Change:
    """One signal of two runs; the previous or the current side is None where there is none."""

    change: str
    facility_id: str
    metric_id: str
    groupby_label: str
    group_value: str
    signal_type: str | None
    previous_signal_type: str | None
    severity_score: int | None
    previous_severity_score: int | None


@dataclass(frozen=True)
class Changes:
    """How many signals changed how, and of each kind of change the ones to look at first.

    ``silent`` are runs newer than ``latest`` that gave no signal at all, ``others`` the sets of
    runs with signals that are not of its set.
    """

    latest: str | None
    previous: str | None
    others: tuple[str, ...]
    silent: tuple[str, ...]
    counts: dict[str, int]
    first: dict[str, tuple[Change, ...]]


def read_changes(connection: psycopg.Connection) -> Changes | None:
    """The newest run with signals against the one before it of the same set, as the report has it;
    None where this was not built yet."""
    found = connection.execute("select to_regclass(%s)", (CHANGES,)).fetchone()
    if found == (None,):
        return None
    runs = connection.execute(
        f"select run_id, previous_run_id, run_set from {CHANGES} limit 1"  # noqa: S608
    ).fetchone()
    latest, previous, run_set = runs or (None, None, None)
    others = connection.execute(OTHER_SETS, (run_set,)).fetchall() if runs else []
    silent = connection.execute(SILENT, (latest,)).fetchall()
    counts: dict[str, int] = dict(
        connection.execute(
            f"select change, signals from {CHANGES} where place = 1"  # noqa: S608
        ).fetchall()
    )
    first: dict[str, list[Change]] = {change: [] for change in TOLD}
    for row in connection.execute(FIRST):
        change = Change(*row)
        if change.change in first:
            first[change.change].append(change)
    return Changes(
        latest,
        previous,
        tuple(row[0] for row in others),
        tuple(row[0] for row in silent),
        counts,
        {change: tuple(rows) for change, rows in first.items()},
    )


def describe_changes(changes: Changes) -> str:
    """Markdown for people: the headline, then a table for each kind of change."""
    more = []
    if changes.silent:
        runs = ", ".join(changes.silent)
        more.append(f"No signals in {runs}: no classifications, or too few peers for a score.")
    if changes.others:
        sets = ", ".join(each or "without a name" for each in changes.others)
        more.append(f"Runs of other sets are not compared with it: {sets}.")
    if changes.latest is None:
        return "\n\n".join(["# No signals", "The marts hold no run with signals.", *more])
    if changes.previous is None:
        headline = f"# {counted(sum(changes.counts.values()), 'signal')} in the first run"
        return "\n\n".join([headline, f"Run {changes.latest}; nothing to compare with.", *more])
    told = ", ".join(f"{changes.counts.get(change, 0)} {change}" for change in TOLD)
    against = f"Run {changes.latest} against {changes.previous}."
    lines = ["\n\n".join([f"# {told}", against, *more])]
    for change, rows in changes.first.items():
        if rows:
            lines += ["", f"## {change.capitalize()}", "", *_table(rows)]
    return "\n".join(lines)


def _table(rows: Sequence[Change]) -> list[str]:
    lines = ["| facility | metric | group | signal | severity |", "|---|---|---|---|---|"]
    for row in rows:
        label, value = row.groupby_label, row.group_value
        cells = (
            row.facility_id,
            row.metric_id,
            value if label == value else f"{label} {value}",
            _from_to(row.previous_signal_type, row.signal_type),
            _from_to(row.previous_severity_score, row.severity_score),
        )
        lines.append("| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |")
    return lines


def _from_to(before: object, after: object) -> str:
    if before is None or after is None or before == after:
        return str(before if after is None else after)
    return f"{before} → {after}"
