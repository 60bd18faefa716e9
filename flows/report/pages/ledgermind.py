"""Are suggestions accepted, by whom, and what may be concluded."""

from collections.abc import Sequence
from datetime import date, timedelta

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.pages.ledgermind_counts import counts_figure
from flows.report.pages.ledgermind_groups import RATE, group_figures
from flows.report.pages.ledgermind_rejected import rejected_figure
from flows.report.records import Column, DomainData, Figure, Page, Row

DAILY = "rpt_ledgermind_daily"
DAY, WEEK, MONTH = timedelta(days=1), timedelta(days=7), timedelta(days=30)
# Comparisons of which a sentence is told.
TOLD = 4
# Of them nothing may be concluded yet.
UNDECIDED = ("open", "too few verdicts", "not enough clusters")
CONCLUSIONS = {
    "treatment is better": "may replace the control: better, beyond what chance explains",
    "treatment is worse": "must not replace the control: worse, beyond what chance explains",
    "open": "is not decided yet: wait for the next look",
    "too few verdicts": "cannot be judged: too few verdicts",
    "not enough clusters": "cannot be judged: too few tenants carry an arm",
    "observed higher": "was higher, but arms were not assigned at random: no proof of cause",
    "observed lower": "was lower, but arms were not assigned at random: no proof of cause",
}


def page(data: DomainData) -> Page:
    figures = []
    if data.rows(DAILY):
        figures += [_daily(data), counts_figure(data)]
    if data.rows("rpt_ledgermind_comparisons"):
        figures.append(_comparisons(data))
    figures += group_figures(data)
    if data.rows("rpt_ledgermind_models"):
        figures.append(_models(data))
    if data.rows("rpt_ledgermind_cohorts"):
        figures.append(_cohorts(data))
    if data.rows("rpt_ledgermind_rejected"):
        figures.append(rejected_figure(data))
    return Page(
        "ledgermind",
        "LedgerMind",
        QUESTIONS["ledgermind"],
        _headline(data),
        _attention(data),
        tuple(figures),
    )


def _headline(data: DomainData) -> str:
    days = [row for row in data.rows(DAILY) if row["events"]]
    newest = max((row["created_date"] for row in days), default=date.min)
    rows = [row for row in days if newest - row["created_date"] < MONTH]
    accepts = sum(row["accepts"] or 0 for row in rows)
    verdicts = accepts + sum(row["rejects"] or 0 for row in rows)
    if not verdicts:
        return "No suggestion of the last 30 days has been judged yet"
    rate = words.percent(accepts / verdicts, 0)
    told = f"{rate} of the judged suggestions of 30 days are accepted"
    decided = [
        row
        for row in data.rows("rpt_ledgermind_comparisons")
        if row["decision"] == "treatment is better"
    ]
    if decided:
        names = [words.text(row["comparison"]) for row in decided]
        return f"{told}; decided better: {words.first(names, 2)}"
    return f"{told}; no candidate has been shown to be better yet"


def _attention(data: DomainData) -> tuple[str, ...]:
    rows = sorted(data.rows(DAILY), key=lambda row: row["created_date"])
    outages = _outages(rows)
    within = {row["created_date"] for outage in outages for row in outage}
    told = [_outage(each) for each in outages if _is_of_the_week(each[-1], rows)]
    days = [row for row in rows if _is_of_the_week(row, rows) and row["created_date"] not in within]
    told += [
        f"On {words.text(row['created_date'])} the {what} was unusual: {seen}, expected {wanted}"
        for row in days
        for flag, what, seen, wanted in (
            (
                row["is_events_anomaly"],
                "number of suggestions",
                words.number(row["events"]),
                words.number(row["expected_events"], 0),
            ),
            (
                row["is_accept_rate_anomaly"],
                "accept rate",
                words.percent(row["accept_rate"]),
                words.percent(row["expected_accept_rate"]),
            ),
        )
        if flag
    ]
    rejected = sum(row["rejected_rows"] for row in data.rows("rpt_ledgermind_rejected"))
    if rejected:
        told.append(f"{words.count(rejected, 'row')} of LedgerMind's tables cannot be used")
    worse = [
        words.text(row["comparison"])
        for row in data.rows("rpt_ledgermind_comparisons")
        if row["decision"] == "treatment is worse"
    ]
    if worse:
        told.append(f"Decided worse: {words.first(worse, 3)}")
    return tuple(told)


def _is_of_the_week(row: Row, rows: Sequence[Row]) -> bool:
    return bool(rows[-1]["created_date"] - row["created_date"] < WEEK)


def _outages(rows: Sequence[Row]) -> list[list[Row]]:
    """Days in a row without any suggestion, two or more, of which one was unusual at least."""
    stretches: list[list[Row]] = []
    for row in (each for each in rows if each["events"] == 0):
        if stretches and row["created_date"] - stretches[-1][-1]["created_date"] == DAY:
            stretches[-1].append(row)
        else:
            stretches.append([row])
    return [
        days
        for days in stretches
        if len(days) > 1 and any(row["is_events_anomaly"] for row in days)
    ]


def _outage(days: Sequence[Row]) -> str:
    """One sentence, which is of the same cause while the outage lasts."""
    expected = sum(words.finite(row["expected_events"]) or 0 for row in days)
    return (
        f"For {words.count(len(days), 'day')} from {words.text(days[0]['created_date'])} on no "
        f"suggestion came: up to {words.text(days[-1]['created_date'])}, while "
        f"{words.number(expected, 0)} were expected"
    )


def _daily(data: DomainData) -> Figure:
    rows = sorted(data.rows(DAILY), key=lambda row: row["created_date"])
    marked = [{**row, "is_unusual": _is_unusual(row)} for row in rows]
    # A model that was built before this was told lacks it.
    finished = [row for row in marked if row["is_complete_day"] is not False]
    judged = [row for row in finished if row["accept_rate"] is not None]
    answer = f"No suggestion of a finished day has been judged yet; {_unusual_days(marked)}."
    if judged:
        last = judged[-1]
        answer = (
            f"On {words.text(last['created_date'])}, the last finished day with verdicts, "
            f"{words.percent(last['accept_rate'])} were accepted (95 % interval "
            f"{words.percent(last['wilson_low'])} to {words.percent(last['wilson_high'])}); "
            f"{_unusual_days(marked)}."
        )
    return Figure(
        key="daily",
        title="Acceptance by day",
        answer=answer,
        source=data.extracts[DAILY],
        columns=(
            Column("created_date", "Day", "date"),
            *RATE,
            Column("undos", "Undone", "number"),
            Column("is_unusual", "Unusual"),
        ),
        rows=marked[::-1],
        as_of=words.text(rows[-1]["created_date"]),
        chart=charts.band(
            finished,
            "created_date",
            "accept_rate",
            "wilson_low",
            "wilson_high",
            "accepted of judged",
            f"Line of the accept rate by day within its 95 % interval. {answer}",
            form=".0%",
            flag="is_unusual",
            days=1,
        )
        if finished
        else None,
        note="The band is the 95 % Wilson interval; a triangle marks an unusual day, a gap one "
        "without verdicts. A day without enough history before it, or before the history that is "
        "watched, is not judged. A day that is not over is in the table alone.",
    )


def _is_unusual(row: Row) -> bool | None:
    """None where neither the number nor the rate of a day was judged."""
    known = [
        flag
        for flag in (row["is_events_anomaly"], row["is_accept_rate_anomaly"])
        if flag is not None
    ]
    return any(known) if known else None


def _unusual_days(marked: Sequence[Row]) -> str:
    known = [row["is_unusual"] for row in marked if row["is_unusual"] is not None]
    if not known:
        return "whether a day is unusual was not judged"
    return f"{words.count(sum(known), 'unusual day')} of {len(known)} that were judged"


def _comparisons(data: DomainData) -> Figure:
    rows = [
        {
            **row,
            "conclusion": CONCLUSIONS.get(row["decision"], words.text(row["decision"])),
        }
        for row in sorted(
            data.rows("rpt_ledgermind_comparisons"),
            key=lambda row: (row["decision"] in UNDECIDED, -(row["difference"] or 0)),
        )
    ]
    drawn = [row for row in rows if words.finite(row["difference_low"]) is not None]
    sentences = [f"{words.text(row['comparison'])}: {row['conclusion']}." for row in rows[:TOLD]]
    if len(rows) > TOLD:
        sentences.append(f"{len(rows) - TOLD:,} more in the table.")
    return Figure(
        key="comparisons",
        title="May one replace another",
        answer=" ".join(sentences),
        source=data.extracts["rpt_ledgermind_comparisons"],
        columns=(
            Column("comparison", "Comparison"),
            Column("conclusion", "What may be concluded: the treatment …", "long"),
            Column("difference", "Difference", "points"),
            Column("difference_low", "from", "points"),
            Column("difference_high", "to", "points"),
            Column("treatment_verdicts", "Verdicts", "number"),
            Column("control_verdicts", "of control", "number"),
            Column("evidence", "Evidence"),
            Column("looked_at_date", "Looked at", "date"),
        ),
        rows=rows,
        as_of=words.text(max(row["created_date"] for row in rows)),
        chart=charts.intervals(
            drawn,
            "comparison",
            "difference",
            "difference_low",
            "difference_high",
            "difference of accept rates",
            "Forest plot of the differences of accept rates with their intervals, beside zero. "
            + " ".join(sentences),
            reference=0.0,
            form="+.0%",
        )
        if drawn
        else None,
        note=(
            "An interval that holds 0 decides nothing. Intervals are those of the latest look and "
            "hold for all looks at once; points are of all verdicts up to the day."
        ),
    )


def _models(data: DomainData) -> Figure:
    rows = sorted(data.rows("rpt_ledgermind_models"), key=lambda row: row["place"])
    to_do = [row for row in rows if words.text(row["promotion"]).startswith("promote")]
    names = [f"{words.text(row['model_id'])} ({words.text(row['promotion'])})" for row in to_do]
    live = [words.text(row["model_id"]) for row in rows if row["phase"] == "live"]
    answer = f"Live: {words.first(live, 3)}. " if live else "No model is live. "
    answer += f"Ready: {words.listed(names)}." if names else "No model is ready for promotion."
    hidden = (rows[0]["models"] or len(rows)) - len(rows)
    if hidden > 0:
        answer += f" {words.count(hidden, 'model is', 'models are')} in no phase and not shown."
    return Figure(
        key="models",
        title="Models",
        answer=answer,
        source=data.extracts["rpt_ledgermind_models"],
        columns=(
            Column("model_id", "Model"),
            Column("phase", "Phase"),
            Column("promotion", "The gate says"),
            Column("events", "Suggestions", "number"),
            Column("verdicts", "Judged", "number"),
            Column("accept_rate", "Accepted of judged", "percent"),
            Column("wilson_low", "95 % from", "percent"),
            Column("wilson_high", "to", "percent"),
            Column("last_date", "Last", "date"),
        ),
        rows=rows,
        as_of=words.text(max((row["last_date"] for row in rows if row["last_date"]), default=None)),
    )


def _week_of(row: Row) -> date:
    """The Monday of the week that a row of a cohort is of."""
    first: date = row["cohort_week"]
    return first + timedelta(weeks=row["week_number"])


def _stayed(rows: Sequence[Row], later: Sequence[Row]) -> str:
    """Of how many tenants the week after their first is over, and how many of them came back."""
    first, last = (words.text(each(row["cohort_week"] for row in rows)) for each in (min, max))
    tenants = sum(row["tenants"] for row in later)
    told = f"Of no tenant who began in the weeks of {first} to {last} is the next week over yet."
    if tenants:
        active = sum(row["tenants_active"] for row in later)
        told = (
            f"{words.percent(active / tenants)} of {words.count(tenants, 'tenant')} came back in "
            f"the week after their first: of all who began in the weeks of {first} to {last}, if "
            "that week is over."
        )
    began = sum(row["tenants"] for row in rows if row["week_number"] == 0)
    earlier = (rows[0]["all_tenants"] or began) - began
    return f"{told} {words.count(earlier, 'tenant')} began earlier." if earlier > 0 else told


def _cohorts(data: DomainData) -> Figure:
    rows = sorted(
        data.rows("rpt_ledgermind_cohorts"),
        key=lambda row: (row["cohort_week"], row["week_number"]),
    )
    complete = [row for row in rows if row["is_complete_week"]]
    answer = _stayed(rows, [row for row in complete if row["week_number"] == 1])
    in_percent = [{**row, "retention_pct": 100 * row["retention"]} for row in complete]
    return Figure(
        key="cohorts",
        title="Do tenants stay",
        answer=answer,
        source=data.extracts["rpt_ledgermind_cohorts"],
        columns=(
            Column("cohort_week", "First week", "date"),
            Column("week_number", "Week", "number"),
            Column("is_complete_week", "Complete"),
            Column("tenants", "Tenants", "number"),
            Column("tenants_active", "Active", "number"),
            Column("retention", "Retention", "percent"),
            Column("accept_rate", "Accepted of judged", "percent"),
        ),
        rows=rows,
        as_of=words.text(max(map(_week_of, complete), default=None)),
        chart=charts.heat(
            in_percent,
            "week_number",
            "cohort_week",
            "retention_pct",
            (20, 40, 60, 80),
            f"Heat map of retention in percent by cohort and week. {answer}",
        )
        if in_percent
        else None,
        note=(
            "Percent of a cohort's tenants with a suggestion, by weeks since their first. "
            "The week that is still filling is in the table only."
        ),
    )
