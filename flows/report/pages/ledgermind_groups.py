"""Who and what is accepted how often: engines, modes, confidence and tenants of 30 days."""

from collections.abc import Sequence
from itertools import pairwise

from flows.report import charts, words
from flows.report.pages.ties import first_of
from flows.report.records import Column, DomainData, Figure, Row

GROUPS = "rpt_ledgermind_groups"
# Names of a tie that are told.
TOLD = 3
TITLES = {
    "confidence": ("Is confidence worth what it says", "confidence bucket"),
    "engine": ("By engine", "engine"),
    "mode": ("By mode", "mode"),
    "tenant": ("By tenant", "tenant"),
}
RATE = (
    Column("events", "Suggestions", "number"),
    Column("accepts", "Accepted", "number"),
    Column("rejects", "Rejected", "number"),
    Column("accept_rate", "Accepted of judged", "percent"),
    Column("wilson_low", "95 % from", "percent"),
    Column("wilson_high", "to", "percent"),
)


def group_figures(data: DomainData) -> list[Figure]:
    return [
        _figure(data, dimension)
        for dimension in TITLES
        if any(row["dimension"] == dimension for row in data.rows(GROUPS))
    ]


def _figure(data: DomainData, dimension: str) -> Figure:
    rows = [row for row in data.rows(GROUPS) if row["dimension"] == dimension]
    title, name = TITLES[dimension]
    rows.sort(key=lambda row: row["member"] if dimension == "confidence" else row["place"])
    judged = [row for row in rows if row["accept_rate"] is not None]
    return Figure(
        key=f"by-{dimension}",
        title=title,
        answer=_answer(dimension, rows, judged, name),
        source=data.extracts[GROUPS],
        columns=(Column("member", name.capitalize()), *RATE),
        rows=rows,
        as_of=words.text(rows[0]["last_date"]),
        chart=charts.intervals(
            judged,
            "member",
            "accept_rate",
            "wilson_low",
            "wilson_high",
            "accepted of judged",
            f"Accept rate of each {name} with its 95 % interval: "
            + "; ".join(
                f"{words.text(row['member'])} {words.percent(row['accept_rate'])}"
                for row in judged[:6]
            ),
        )
        if judged
        else None,
        note="30 days up to the newest suggestion; lines are 95 % Wilson intervals.",
    )


def _answer(dimension: str, rows: Sequence[Row], judged: Sequence[Row], name: str) -> str:
    if not judged:
        return f"No suggestion of any {name} has been judged yet."
    hidden = rows[0]["members"] - len(rows)
    among = f", of the {len(rows)} with the most suggestions," if hidden > 0 else ""
    told = f"In 30 days{among} {_most_and_least(judged)}."
    if hidden > 0:
        told += f" {words.count(hidden, f'{name} is', f'{name}s are')} not shown."
    if dimension == "confidence":
        told += _with_confidence(judged)
    return told


def _most_and_least(judged: Sequence[Row]) -> str:
    by_rate = sorted(judged, key=lambda row: -row["accept_rate"])
    best, worst = first_of(by_rate, "accept_rate"), first_of(by_rate[::-1], "accept_rate")
    most = f"{_named(best)} {'is' if len(best) == 1 else 'are'} accepted"
    rate = words.percent(best[0]["accept_rate"])
    if len(judged) == 1:
        return f"{most} at {rate}"
    if len(best) == len(judged):
        return f"{most} alike, at {rate}"
    least = words.percent(worst[0]["accept_rate"])
    return f"{most} most ({rate}), {_named(worst)} least ({least})"


def _named(tied: Sequence[Row]) -> str:
    return words.first([words.text(row["member"]) for row in tied], TOLD)


def _with_confidence(judged: Sequence[Row]) -> str:
    """Of one bucket, or of those without a number, nothing is said."""
    rates = [row["accept_rate"] for row in judged if str(row["member"])[:1].isdigit()]
    if len(rates) < 2:
        return ""
    if all(a < b for a, b in pairwise(rates)):
        return " The rate rises with confidence."
    return " The rate does not rise with every step of confidence."
