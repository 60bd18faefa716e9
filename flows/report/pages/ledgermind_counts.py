"""How many suggestions come by day, and on which days that was not usual."""

from flows.report import charts, words
from flows.report.records import Column, DomainData, Figure

DAILY = "rpt_ledgermind_daily"


def counts_figure(data: DomainData) -> Figure:
    rows = sorted(data.rows(DAILY), key=lambda row: row["created_date"])
    finished = [row for row in rows if row["is_complete_day"] is not False]
    judged = [row for row in finished if row["is_events_anomaly"] is not None]
    odd = [row for row in judged if row["is_events_anomaly"]]
    if odd:
        last = odd[-1]
        answer = (
            f"On {words.number(len(odd))} of {words.count(len(judged), 'day')} that were judged "
            f"the number of suggestions was unusual, last on {words.text(last['created_date'])}: "
            f"{words.number(last['events'])}, expected "
            f"{words.number(last['expected_events'], 0)}."
        )
    elif judged:
        answer = (
            f"On none of {words.count(len(judged), 'day')} that were judged was the number of "
            "suggestions unusual."
        )
    else:
        answer = "Of no day was judged whether its number of suggestions is unusual."
    # The line of what is expected has no band.
    drawn = [{**row, "none": None} for row in finished]
    return Figure(
        key="counts",
        title="Suggestions by day",
        answer=answer,
        source=data.extracts[DAILY],
        columns=(
            Column("created_date", "Day", "date"),
            Column("events", "Suggestions", "number"),
            Column("expected_events", "Expected", "number"),
            Column("is_events_anomaly", "Unusual number"),
        ),
        rows=rows[::-1],
        as_of=words.text(rows[-1]["created_date"]),
        chart=charts.band(
            drawn,
            "created_date",
            "events",
            "none",
            "none",
            "suggestions",
            f"Line of suggestions by day beside what was expected. {answer}",
            flag="is_events_anomaly",
            middle="expected_events",
            days=1,
        )
        if drawn
        else None,
        note="The broken line is what was expected; a triangle marks a day of an unusual number. "
        "A day that is not over is in the table alone.",
    )
