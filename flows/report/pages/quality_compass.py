"""Which facility needs attention first, and what changed since the last run."""

from collections import Counter
from collections.abc import Sequence

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.pages.quality_contributions import CONTRIBUTIONS, contributions_figure
from flows.report.records import Column, DomainData, Figure, Page, Row

FACILITIES = "rpt_quality_facilities"
CHANGES = "rpt_quality_changes"
MONTHS = "rpt_quality_months"
TOLD = ("worse", "new", "better", "gone", "unclear", "same")
STEPS = (30, 50, 65, 80)
SEVERITY = Column("worst_severity_score", "Severity", "number", small="worst_severity")
SEVERITY_NOTE = (
    "Severity is the run's score of 0 to 100, and below it the tier of the signal's worst label."
)
NOT_FAVOURABLE = (
    "Signals of the newest run that are not favourable: on the bad side, or without a side, as "
    "within the norm or of a metric without a direction. Those of data that is not trusted are "
    "left out."
)
DRAWN = 20


def page(data: DomainData) -> Page:
    figures = []
    if data.rows(FACILITIES):
        figures += [_first(data), _heat(data)]
    if data.rows(CHANGES):
        figures.append(_changes(data))
    if data.rows(MONTHS):
        figures += _months(data)
    if rows := data.rows(CONTRIBUTIONS):
        metric = _metrics(data).get(rows[0]["metric_id"]) or words.text(rows[0]["metric_name"])
        figures.append(contributions_figure(data, name_of(rows[0]), metric))
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


def group_of(row: Row, label: str = "groupby_label", value: str = "group_value") -> str:
    """What a signal is of in its facility: one value may be of several groupings."""
    if row[label] in (None, row[value]):
        return words.text(row[value])
    return f"{words.text(row[label])} {words.text(row[value])}"


def _metrics(data: DomainData) -> dict[str, str]:
    """The names of metrics by their ids; of several of one name each has its id with it."""
    named = {
        row["metric_id"]: words.text(row["metric_name"] or row["metric_id"])
        for row in data.rows(FACILITIES)
    }
    many = Counter(named.values())
    return {
        metric: name if many[name] == 1 else f"{name} ({words.text(metric)})"
        for metric, name in named.items()
    }


def _by_facility(data: DomainData) -> list[list[Row]]:
    """The cells of each facility, the one that needs attention first first."""
    grouped: dict[int, list[Row]] = {}
    for row in sorted(data.rows(FACILITIES), key=lambda row: row["facility_place"]):
        grouped.setdefault(row["facility_place"], []).append(row)
    return [
        sorted(rows, key=lambda row: (-_score(row), row["metric_id"])) for rows in grouped.values()
    ]


def _score(row: Row) -> float:
    known = words.finite(row["worst_severity_score"])
    return -1 if known is None else known


def _headline(data: DomainData) -> str:
    facilities = _by_facility(data)
    if not facilities:
        return "No facility has a signal in the newest run that is not favourable"
    worst = facilities[0][0]
    metric = _metrics(data)[worst["metric_id"]]
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
    for row in data.rows(FACILITIES)[:1]:
        if silent := row["newer_silent_runs"]:
            came = words.count(silent, "newer run has", "newer runs have")
            told.append(
                f"{came} no signals, without classifications or of too few peers for a score: "
                f"what is told is of run {words.text(row['run_id'])}"
            )
        if many := row["actionable_facilities"]:
            have = words.count(many, "facility has", "facilities have")
            told.append(f"{have} signals labelled critical or high")
    return tuple(told)


def _shown(data: DomainData) -> str:
    """How many of the facilities are listed."""
    facilities = _by_facility(data)
    many = facilities[0][0]["facilities_with_signals"]
    if len(facilities) == many:
        return f"All {words.count(many, 'facility', 'facilities')}"
    return f"The first {len(facilities)} of {words.count(many, 'facility', 'facilities')}"


def _first(data: DomainData) -> Figure:
    facilities = _by_facility(data)
    metrics = _metrics(data)
    rows = [
        {
            **cells[0],
            "facility": name_of(cells[0]),
            "metric": metrics[cells[0]["metric_id"]],
            "group": group_of(cells[0], "worst_groupby_label", "worst_group"),
            "all_signals": sum(cell["signals"] for cell in cells),
            "all_actionable": sum(cell["actionable_signals"] for cell in cells),
        }
        for cells in facilities
    ]
    first = rows[0]
    answer = (
        f"{first['facility']}: {first['metric']} in {first['group']}, "
        f"{words.spoken(first['worst_signal_type'])}, severity "
        f"{words.number(first['worst_severity_score'])}; "
        f"{words.count(first['facilities_with_signals'], 'facility has', 'facilities have')} "
        "a signal that is not favourable."
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
            Column("group", "Group"),
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
        note=f"{_shown(data)}, by the worst severity, then by how many signals are labelled "
        "critical or high: a facility with such a label and a lower severity comes later. "
        f"{NOT_FAVOURABLE} {SEVERITY_NOTE}",
    )


def _heat(data: DomainData) -> Figure:
    metrics = _metrics(data)
    rows = [
        {
            **row,
            "facility": name_of(row),
            "metric": metrics[row["metric_id"]],
            "group": group_of(row, "worst_groupby_label", "worst_group"),
        }
        for cells in _by_facility(data)
        for row in cells
    ]
    drawn = [row for row in rows if row["facility_place"] <= DRAWN]
    first = rows[0]
    order = sorted(drawn, key=lambda row: (row["facility_place"], words.text(row["metric"])))
    answer = (
        f"A severity of {STEPS[3]} or more: {words.number(first['severe_pairs'])} of "
        f"{words.number(first['pairs_with_signals'])} pairs of facility and metric."
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
            Column("group", "Group"),
            Column("signals", "Signals", "number"),
        ),
        rows=rows,
        as_of=f"run {words.text(first['run_id'])}",
        chart=charts.heat(
            order,
            "metric",
            "facility",
            "worst_severity_score",
            STEPS,
            f"Heat map of the worst severity by facility and metric. {answer}",
        ),
        note=f"{_shown(data)}, drawn the first {DRAWN}; stronger from "
        f"{', '.join(map(str, STEPS))} on. An empty cell has no signal that is not favourable, or "
        f"none with a severity. {SEVERITY_NOTE}",
    )


def _changes(data: DomainData) -> Figure:
    counts = changes_by_kind(data)
    rows = sorted(data.rows(CHANGES), key=lambda row: (TOLD.index(row["change"]), row["place"]))
    told = [row for row in rows if row["change"] != "same"]
    facts = rows[0]
    metrics = _metrics(data)
    named = [
        {
            **row,
            "facility": name_of(row),
            "metric": metrics.get(row["metric_id"]) or words.spoken(row["metric_id"]),
            "group": group_of(row),
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
            Column("group", "Group"),
            Column("severity_score", "Severity", "number"),
            Column("before", "Before", "number"),
            Column("signal_type", "Signal", "code"),
            Column("previous_signal_type", "Signal before", "code"),
        ),
        rows=named,
        as_of=f"run {words.text(facts['run_id'])}",
        chart=charts.bars(drawn, "change", "signals", "signals", f"Bars of signals: {answer}"),
        note="The 15 that changed most of each kind. Worse and better go by the severity score "
        "of metrics of which less is better; what it does not tell is unclear: of metrics with "
        "another direction or none, without a score, or where the side of the signal says "
        f"otherwise.{_other_sets(facts)}",
    )


def _other_sets(row: Row) -> str:
    if not row["other_sets"]:
        return ""
    own = words.text(row["run_set"])
    others = words.count(row["other_sets"], "other set")
    return f" Compared are runs of the set {own}; those of {others} in the database are not."


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
    metric = _metrics(data).get(rows[0]["metric_id"]) or words.text(rows[0]["metric_name"])
    peers = _peers(rows[0])
    answer = f"No month of {metric} has a value."
    if known:
        last = known[-1]
        answer = (
            f"{metric} in {group_of(last)} was "
            f"{words.number(last['metric_value'], 3)} in {words.text(last['month'])}"
        )
        if last["peers_median"] is not None:
            answer += f"; half of {peers} are below {words.number(last['peers_median'], 3)}"
        answer += "."
    return Figure(
        key=f"facility-{place}",
        title=f"{name_of(rows[0])}: {metric} by month",
        answer=answer,
        source=data.extracts[MONTHS],
        columns=(
            Column("month", "Month"),
            Column("metric_value", "Value", "number"),
            Column("peers_p25", f"Of {peers}, a quarter below", "number"),
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
            f"Line of the metric by month, beside the middle half of {peers}. {answer}",
            form=",.3~f",
            middle="peers_median",
            is_time=False,
        )
        if known
        else None,
        note=f"The band holds the middle half of {peers}, the dashed line is their median.",
    )


def _peers(row: Row) -> str:
    """Of whom the quarters of a month are: a run tells them of all that a node has results of."""
    if row["groupby_label"] in (None, row["group_value"]):
        return "the peers"
    return f"all {words.text(row['groupby_label'])} groups of all facilities"
