"""Which facility needs attention first, and what changed since the last run."""

from collections.abc import Sequence

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.records import Column, DomainData, Figure, Page, Row

FACILITIES = "rpt_quality_facilities"
CHANGES = "rpt_quality_changes"
MONTHS = "rpt_quality_months"
TOLD = ("worse", "new", "better", "gone", "unclear", "same")
STEPS = (30, 50, 65, 80)
SEVERITY = Column("worst_severity_score", "Severity", "number", small="worst_severity")
SEVERITY_NOTE = "Severity is a score of 0 to 100, and below it what the run calls the signal."
DRAWN = 20


def page(data: DomainData) -> Page:
    figures = []
    if data.rows(FACILITIES):
        figures += [_first(data), _heat(data)]
    if data.rows(CHANGES):
        figures.append(_changes(data))
    if data.rows(MONTHS):
        figures += _months(data)
    return Page(
        "quality_compass",
        "Quality Compass",
        QUESTIONS["quality_compass"],
        _headline(data),
        _attention(data),
        tuple(figures),
    )


def name_of(row: Row) -> str:
    """The name of a facility, with its id: names repeat."""
    facility = words.text(row["facility_id"] or "whole system")
    return f"{words.text(row['facility_name'])} ({facility})" if row["facility_name"] else facility


def _by_facility(data: DomainData) -> list[list[Row]]:
    """The cells of each facility, the one that needs attention first first."""
    grouped: dict[int, list[Row]] = {}
    for row in sorted(data.rows(FACILITIES), key=lambda row: row["facility_place"]):
        grouped.setdefault(row["facility_place"], []).append(row)
    return [
        sorted(rows, key=lambda row: (-(row["worst_severity_score"] or 0), row["metric_id"]))
        for rows in grouped.values()
    ]


def _headline(data: DomainData) -> str:
    facilities = _by_facility(data)
    if not facilities:
        return "No facility has an unfavourable signal in the newest run"
    worst = facilities[0][0]
    metric = words.text(worst["metric_name"] or worst["metric_id"])
    return (
        f"{name_of(worst)} needs attention first: {metric}, severity "
        f"{words.number(worst['worst_severity_score'])} of 100"
    )


def changes_by_kind(data: DomainData) -> dict[str, int]:
    return {row["change"]: row["signals"] for row in data.rows(CHANGES) if row["place"] == 1}


def _attention(data: DomainData) -> tuple[str, ...]:
    told = []
    counts = changes_by_kind(data)
    has_before = any(row["previous_run_id"] for row in data.rows(CHANGES))
    if has_before and (counts.get("worse") or counts.get("new")):
        told.append(
            f"{words.count(counts.get('worse', 0), 'signal')} worse and "
            f"{words.number(counts.get('new', 0))} new since the last run"
        )
    actionable = [
        rows for rows in _by_facility(data) if any(row["actionable_signals"] for row in rows)
    ]
    if actionable:
        more = "has critical or high signals", "have critical or high signals"
        told.append(
            f"{words.count(len(actionable), 'facility', 'facilities')} "
            f"{more[0] if len(actionable) == 1 else more[1]}"
        )
    return tuple(told)


def _first(data: DomainData) -> Figure:
    facilities = _by_facility(data)
    rows = [
        {
            **cells[0],
            "facility": name_of(cells[0]),
            "metric": cells[0]["metric_name"] or cells[0]["metric_id"],
            "all_signals": sum(cell["signals"] for cell in cells),
            "all_actionable": sum(cell["actionable_signals"] for cell in cells),
        }
        for cells in facilities
    ]
    first = rows[0]
    answer = (
        f"{first['facility']}: {words.text(first['metric'])} in "
        f"{words.text(first['worst_group'])}, {words.spoken(first['worst_signal_type'])}, severity "
        f"{words.number(first['worst_severity_score'])}; "
        f"{words.count(first['facilities_with_signals'], 'facility has', 'facilities have')} "
        "an unfavourable signal."
    )
    shown = rows[:10]
    return Figure(
        key="facilities",
        title="Which facility first",
        answer=answer,
        source=data.extracts[FACILITIES],
        columns=(
            Column("facility_place", "Place", "number"),
            Column("facility", "Facility"),
            SEVERITY,
            Column("metric", "Metric"),
            Column("worst_group", "Group"),
            Column("worst_signal_type", "Signal", "code"),
            Column("all_signals", "Signals", "number"),
            Column("all_actionable", "Critical or high", "number"),
        ),
        rows=rows,
        as_of=f"run {words.text(first['run_id'])}",
        chart=charts.bars(
            shown,
            "facility",
            "worst_severity_score",
            "worst severity, of 100",
            "Bars of the worst severity, the first ten facilities: "
            + "; ".join(f"{r['facility']} {r['worst_severity_score']}" for r in shown[:5]),
        ),
        note="Unfavourable signals of the newest run, those of data that is not trusted left out. "
        + SEVERITY_NOTE,
    )


def _heat(data: DomainData) -> Figure:
    rows = [
        {
            **row,
            "facility": name_of(row),
            "metric": row["metric_name"] or row["metric_id"],
        }
        for cells in _by_facility(data)
        for row in cells
    ]
    drawn = [row for row in rows if row["facility_place"] <= DRAWN]
    metrics = sorted({words.text(row["metric"]) for row in rows})
    severe = sum(1 for row in rows if (row["worst_severity_score"] or 0) >= STEPS[3])
    order = sorted(drawn, key=lambda row: (row["facility_place"], words.text(row["metric"])))
    answer = (
        f"{words.count(severe, 'pair')} of facility and metric with a severity of {STEPS[3]} or "
        f"more, of {words.number(len(rows))} with a signal on "
        f"{words.count(len(metrics), 'metric')}."
    )
    return Figure(
        key="severity",
        title="Severity by facility and metric",
        answer=answer,
        source=data.extracts[FACILITIES],
        columns=(
            Column("facility", "Facility"),
            Column("metric", "Metric"),
            SEVERITY,
            Column("worst_signal_type", "Signal", "code"),
            Column("worst_group", "Group"),
            Column("signals", "Signals", "number"),
        ),
        rows=rows,
        as_of=f"run {words.text(rows[0]['run_id'])}",
        chart=charts.heat(
            order,
            "metric",
            "facility",
            "worst_severity_score",
            STEPS,
            f"Heat map of the worst severity by facility and metric. {answer}",
        ),
        note=f"The first {DRAWN} facilities; stronger from {', '.join(map(str, STEPS))} on. An "
        f"empty cell has no unfavourable signal. {SEVERITY_NOTE}",
    )


def _changes(data: DomainData) -> Figure:
    counts = changes_by_kind(data)
    rows = sorted(data.rows(CHANGES), key=lambda row: (TOLD.index(row["change"]), row["place"]))
    told = [row for row in rows if row["change"] != "same"]
    facts = rows[0]
    metrics = {row["metric_id"]: row["metric_name"] for row in data.rows(FACILITIES)}
    named = [
        {
            **row,
            "facility": name_of(row),
            "metric": metrics.get(row["metric_id"]) or words.spoken(row["metric_id"]),
            "before": row["previous_severity_score"],
        }
        for row in told
    ]
    if facts["previous_run_id"]:
        answer = (
            ", ".join(f"{words.number(counts.get(kind, 0))} {kind}" for kind in TOLD)
            + f": run {words.text(facts['run_id'])} against "
            f"{words.text(facts['previous_run_id'])}."
        )
    else:
        answer = (
            f"{words.count(sum(counts.values()), 'signal')} in the first run "
            f"{words.text(facts['run_id'])}; nothing to compare with."
        )
    drawn = [{"change": kind, "signals": counts[kind]} for kind in TOLD if kind in counts]
    return Figure(
        key="changes",
        title="What changed since the last run",
        answer=answer,
        source=data.extracts[CHANGES],
        columns=(
            Column("change", "Change"),
            Column("facility", "Facility"),
            Column("metric", "Metric"),
            Column("group_value", "Group"),
            Column("severity_score", "Severity", "number"),
            Column("before", "Before", "number"),
            Column("signal_type", "Signal", "code"),
            Column("previous_signal_type", "Signal before", "code"),
        ),
        rows=named,
        as_of=f"run {words.text(facts['run_id'])}",
        chart=charts.bars(drawn, "change", "signals", "signals", f"Bars of signals: {answer}"),
        note="The 15 that changed most of each kind.",
    )


def _months(data: DomainData) -> list[Figure]:
    order = {row["facility_id"]: row["facility_place"] for row in data.rows(FACILITIES)}
    grouped: dict[str, list[Row]] = {}
    for row in sorted(
        data.rows(MONTHS), key=lambda row: (order.get(row["facility_id"], 99), row["month"])
    ):
        grouped.setdefault(row["facility_id"], []).append(row)
    return [_facility(data, place, rows) for place, rows in enumerate(grouped.values(), 1)]


def _facility(data: DomainData, place: int, rows: Sequence[Row]) -> Figure:
    known = [row for row in rows if row["metric_value"] is not None]
    metric = words.text(rows[0]["metric_name"] or rows[0]["metric_id"])
    answer = f"No month of {metric} has a value."
    if known:
        last = known[-1]
        answer = (
            f"{metric} in {words.text(last['group_value'])} was "
            f"{words.number(last['metric_value'], 3)} in {words.text(last['month'])}"
        )
        if last["peers_median"] is not None:
            answer += f"; half of the peers are below {words.number(last['peers_median'], 3)}"
        answer += "."
    return Figure(
        key=f"facility-{place}",
        title=f"{name_of(rows[0])}: {metric} by month",
        answer=answer,
        source=data.extracts[MONTHS],
        columns=(
            Column("month", "Month"),
            Column("metric_value", "Value", "number"),
            Column("peers_p25", "Peers, a quarter below", "number"),
            Column("peers_median", "half below", "number"),
            Column("peers_p75", "three quarters below", "number"),
        ),
        rows=list(rows)[::-1],
        as_of=words.text(rows[-1]["month"]),
        chart=charts.band(
            rows,
            "month",
            "metric_value",
            "peers_p25",
            "peers_p75",
            metric,
            f"Line of the metric by month, beside the middle half of its peers. {answer}",
            form=",.3~f",
            middle="peers_median",
            is_time=False,
        )
        if known
        else None,
        note="The band holds the middle half of the peers, the dashed line is their median.",
    )
