"""How tests went over time: what passed, warned and failed in each run."""

from collections.abc import Sequence

from flows.report import charts, words
from flows.report.records import Column, Figure, Row

SHOWN = 40
KINDS = {"tests_passed": "tests passed", "warnings": "warnings", "failures": "failures"}
FAILURES_NOTE = (
    "A failure or a warning is of a test, a model, a source or whatever else a run could not do,"
)


def verdicts_figure(measures: Sequence[Row]) -> Figure | None:
    """Of the newest runs that tested anything; None where none did.

    Args:
        measures: what runs measured, the newest first.
    """
    tested = [row for row in measures if row["at"] and any(row[each] for each in KINDS)]
    if not tested:
        return None
    shown = tested[:SHOWN]
    failed = sum(1 for row in shown if row["failures"])
    warned = sum(1 for row in shown if row["warnings"] and not row["failures"])
    answer = (
        f"Of {words.count(len(shown), 'newest run')} that tested anything "
        f"{words.number(failed)} had failures and {words.number(warned)} had warnings alone."
    )
    named = [
        {**row, "run": f"{words.text(row['at'])} {row['deployment'] or row['domain']}"}
        for row in shown
    ]
    return Figure(
        key="verdicts",
        title="Tests over time",
        answer=answer,
        source=None,
        columns=(
            Column("at", "When, UTC", "date"),
            Column("domain", "Domain"),
            Column("deployment", "Deployment"),
            Column("tests_passed", "Tests passed", "number"),
            Column("warnings", "Warnings", "number"),
            Column("failures", "Failures", "number"),
        ),
        rows=shown,
        as_of=words.text(shown[0]["at"]),
        chart=charts.parts(
            named,
            "run",
            KINDS,
            "of each run",
            f"Stacked bars by run, the newest first. {answer}",
            is_in_order=True,
        ),
        note=f"{FAILURES_NOTE} as its summary says. Runs that left all tests out, as nothing had "
        "changed, are not here.",
    )
