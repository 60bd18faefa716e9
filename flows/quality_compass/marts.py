"""Reads the marts back: what changed between the newest run and the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from flows._shared.counted import counted

SHOWN = 15
TOLD = ("worse", "new", "better", "gone", "unclear")

RUNS = """
with_signals as (
    select * from analytics.stg_runs
    where exists (select 1 from analytics.fct_signals as found where found.run_id = stg_runs.run_id)
),

newest as (
    select * from with_signals order by run_at desc, run_id desc limit 1
),

-- Of the same set: runs of two sets are of different things.
former as (
    select with_signals.* from with_signals, newest
    where with_signals.run_id <> newest.run_id
        and with_signals.run_set is not distinct from newest.run_set
    order by with_signals.run_at desc, with_signals.run_id desc limit 1
)
"""

CHANGES = f"""
with {RUNS},

latest as (
    select fct_signals.* from analytics.fct_signals
    inner join newest on fct_signals.run_id = newest.run_id
),

previous as (
    select fct_signals.* from analytics.fct_signals
    inner join former on fct_signals.run_id = former.run_id
),

paired as (
    select
        coalesce(latest.facility_id, previous.facility_id, '') as facility_id,
        metric_id,
        coalesce(latest.groupby_label, previous.groupby_label) as groupby_label,
        coalesce(latest.group_value, previous.group_value) as group_value,
        latest.signal_type,
        previous.signal_type as previous_signal_type,
        latest.severity_score,
        previous.severity_score as previous_severity_score,
        latest.is_favorable,
        previous.is_favorable as was_favorable
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
        when severity_score is null or previous_severity_score is null then 'unclear'
        when severity_score = previous_severity_score then 'same'
        -- The score rises with the value, also of a metric of which more is better.
        when coalesce(direction_preference, '') <> 'lower' then 'unclear'
        when severity_score > previous_severity_score
            then case when is_favorable then 'unclear' else 'worse' end
        when not is_favorable and coalesce(was_favorable, true) then 'unclear'
        else 'better'
    end as change,
    facility_id,
    metric_id,
    groupby_label,
    group_value,
    signal_type,
    previous_signal_type,
    severity_score,
    previous_severity_score
from paired
left join analytics.dim_metrics using (metric_id)
"""  # noqa: S608


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


def read_changes(connection: psycopg.Connection) -> Changes:
    """The newest run with signals against the one before it of the same set."""
    runs = connection.execute(
        f"with {RUNS} select newest.run_id, former.run_id, array(select distinct "  # noqa: S608
        "coalesce(with_signals.run_set, '') from with_signals "
        "where with_signals.run_set is distinct from newest.run_set order by 1) "
        "from newest left join former on true"
    ).fetchone()
    latest, previous, others = runs or (None, None, [])
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
    return Changes(latest, previous, tuple(others), tuple(row[0] for row in silent), counts, first)


def describe_changes(changes: Changes) -> str:
    """Markdown for people: the headline, then a table for each kind of change."""
    more = [f"No signals in {', '.join(changes.silent)}: are its classifications there?"] * bool(
        changes.silent
    )
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
