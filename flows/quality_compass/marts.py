"""Reads the marts back: what changed between the newest run and the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from flows._shared.counted import counted

SHOWN = 15
TOLD = ("worse", "new", "better", "gone", "unclear")

CHANGES = """
with runs as (
    select
        (array_agg(run_id order by run_at desc, run_id desc))[1] as latest,
        (array_agg(run_id order by run_at desc, run_id desc))[2] as previous
    from analytics.stg_runs
    where exists (select 1 from analytics.fct_signals as found where found.run_id = stg_runs.run_id)
),

latest as (
    select fct_signals.* from analytics.fct_signals
    inner join runs on fct_signals.run_id = runs.latest
),

previous as (
    select fct_signals.* from analytics.fct_signals
    inner join runs on fct_signals.run_id = runs.previous
),

paired as (
    select
        coalesce(latest.facility_id, previous.facility_id, '') as facility_id,
        coalesce(latest.metric_id, previous.metric_id) as metric_id,
        coalesce(latest.group_value, previous.group_value) as group_value,
        latest.signal_type,
        previous.signal_type as previous_signal_type,
        latest.severity_score,
        previous.severity_score as previous_severity_score
    from latest
    full join previous using (canonical_node_id, metric_id, group_hash)
)

select
    case
        when previous_signal_type is null then 'new'
        when signal_type is null then 'gone'
        -- A severity of data that is not trusted compares with nothing.
        when (signal_type = 'suspect_data') <> (previous_signal_type = 'suspect_data')
            then 'unclear'
        when severity_score > previous_severity_score then 'worse'
        when severity_score < previous_severity_score then 'better'
        else 'same'
    end as change,
    facility_id,
    metric_id,
    group_value,
    signal_type,
    previous_signal_type,
    severity_score,
    previous_severity_score
from paired
"""


@dataclass(frozen=True)
class Change:
    """One signal of two runs; the previous or the current side is None where there is none."""

    change: str
    facility_id: str
    metric_id: str
    group_value: str
    signal_type: str | None
    previous_signal_type: str | None
    severity_score: int | None
    previous_severity_score: int | None


@dataclass(frozen=True)
class Changes:
    """How many signals changed how, and of each kind of change the ones to look at first.

    ``silent`` are runs newer than ``latest`` that gave no signal at all.
    """

    latest: str | None
    previous: str | None
    silent: tuple[str, ...]
    counts: dict[str, int]
    first: dict[str, tuple[Change, ...]]


def read_changes(connection: psycopg.Connection) -> Changes:
    """The newest run with signals against the one before it."""
    runs = connection.execute(
        "select run_id from analytics.stg_runs where exists ("
        "select 1 from analytics.fct_signals as found where found.run_id = stg_runs.run_id"
        ") order by run_at desc, run_id desc limit 2"
    ).fetchall()
    latest, previous = [*(row[0] for row in runs), None, None][:2]
    silent = connection.execute(
        "select run_id from analytics.stg_runs where (run_at, run_id) > ("
        "select coalesce(max(run_at), '-infinity'), coalesce(max(run_id), '') "
        "from analytics.stg_runs where run_id = %s) order by run_at, run_id",
        (latest,),
    ).fetchall()
    counts: dict[str, int] = dict(
        connection.execute(
            f"select change, count(*) from ({CHANGES}) as changes group by 1"  # noqa: S608
        ).fetchall()
    )
    first = {
        change: tuple(
            Change(*row)
            for row in connection.execute(
                f"select * from ({CHANGES}) as changes where change = %s "  # noqa: S608
                "order by abs(coalesce(severity_score, 0) - coalesce(previous_severity_score, 0)) "
                "desc, severity_score desc nulls last, facility_id, metric_id, group_value "
                "limit %s",
                (change, SHOWN),
            )
        )
        for change in TOLD
    }
    return Changes(latest, previous, tuple(row[0] for row in silent), counts, first)


def describe_changes(changes: Changes) -> str:
    """Markdown for people: the headline, then a table for each kind of change."""
    silent = [f"No signals in {', '.join(changes.silent)}: are its classifications there?"] * bool(
        changes.silent
    )
    if changes.latest is None:
        return "\n\n".join(["# No signals", "The marts hold no run with signals.", *silent])
    if changes.previous is None:
        headline = f"# {counted(sum(changes.counts.values()), 'signal')} in the first run"
        return "\n\n".join([headline, f"Run {changes.latest}; nothing to compare with.", *silent])
    told = ", ".join(f"{changes.counts.get(change, 0)} {change}" for change in TOLD)
    lines = [f"# {told}", "", f"Run {changes.latest} against {changes.previous}.", *silent]
    for change, rows in changes.first.items():
        if rows:
            lines += ["", f"## {change.capitalize()}", "", *_table(rows)]
    return "\n".join(lines)


def _table(rows: Sequence[Change]) -> list[str]:
    lines = ["| facility | metric | group | signal | severity |", "|---|---|---|---|---|"]
    for row in rows:
        signal = _from_to(row.previous_signal_type, row.signal_type)
        severity = _from_to(row.previous_severity_score, row.severity_score)
        group = row.group_value.replace("|", "\\|")
        lines.append(f"| {row.facility_id} | {row.metric_id} | {group} | {signal} | {severity} |")
    return lines


def _from_to(before: object, after: object) -> str:
    if before is None or after is None or before == after:
        return str(before if after is None else after)
    return f"{before} → {after}"
