"""Weeks of Scout's categories: which are abnormal, which fell silent, how they went."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta

from flows.report import charts, words
from flows.report.records import Column, DomainData, Figure, Row

WEEKS = "rpt_scout_weeks"
RECENT_WEEKS = 4
RECENT = timedelta(weeks=RECENT_WEEKS)
HALF_A_YEAR = timedelta(weeks=26)
TOLD = 3


def is_it_normal(data: DomainData, lacking: str) -> str:
    """Which categories are abnormal, how many fell silent, whether the last weeks had anything.

    Args:
        lacking: what the last month lacks, if much; nothing is called normal then.
    """
    names = sorted({_with_currency(data, row) for row in recent_anomalies(data)})
    if names:
        told = [f"{words.first(names, TOLD)} {'is' if len(names) == 1 else 'are'} abnormal"]
    elif lacking:
        told = []
    elif any(_is_judged(row) for row in _recent(data)):
        told = ["no category is abnormal"]
    else:
        told = ["no category could be judged"]
    if lacking:
        told.append(lacking)
    told += _fallen_silent(data)
    if missing := _weeks_without(data):
        since = words.count(missing, "complete week has", "complete weeks have")
        told.append(f"the last {since} no transaction")
    return "; ".join(told)


def _currencies(data: DomainData, category: str) -> set[str]:
    return {row["currency"] for row in data.rows(WEEKS) if row["category"] == category}


def _with_currency(data: DomainData, row: Row) -> str:
    """The category, with its currency where it is not its only one."""
    name = words.text(row["category"])
    is_only = len(_currencies(data, row["category"])) == 1
    return name if is_only else f"{name} ({words.text(row['currency'])})"


def _fallen_silent(data: DomainData) -> list[str]:
    """How many categories have nothing any more, and how many in a part of their currencies."""
    silent: dict[str, set[str]] = defaultdict(set)
    for row in _silent(data):
        silent[row["category"]].add(row["currency"])
    partly = {name: each for name, each in silent.items() if each != _currencies(data, name)}
    told = []
    if whole := len(silent) - len(partly):
        told.append(f"{words.count(whole, 'category has', 'categories have')} fallen silent")
    if partly:
        has = words.count(len(partly), "category has", "categories have")
        stopped = sorted({words.text(each) for found in partly.values() for each in found})
        told.append(f"{has} fallen silent in {words.listed(stopped)}")
    return told


def not_normal(data: DomainData) -> list[str]:
    """A sentence for each of the first abnormal and silent categories, and how many more."""
    odd, silent = recent_anomalies(data), _silent(data)
    told = [
        f"{words.text(row['category'])} ({words.text(row['currency'])}) was "
        f"{words.number(row['total_amount'], 0)} in the week of {words.text(row['week'])}, "
        f"outside of {words.number(row['band_low'], 0)} to {words.number(row['band_high'], 0)}"
        f"{_after_silence(data, row)}"
        for row in odd[:TOLD]
    ]
    if (more := len(odd) - TOLD) > 0:
        are = words.count(more, "more amount is", "more amounts are")
        told.append(f"{are} abnormal in these {RECENT_WEEKS} weeks, see the table")
    told += [
        f"{words.text(row['category'])} ({words.text(row['currency'])}) has had nothing since the "
        f"week of {words.text(row['week'])}, others in {words.count(row['silent_weeks'], 'week')}"
        for row in silent[:TOLD]
    ]
    if (more := len(silent) - TOLD) > 0:
        has = words.count(more, "more category has", "more categories have")
        told.append(f"{has} had nothing, for longer")
    return told


def recent_anomalies(data: DomainData) -> list[Row]:
    """Complete weeks out of their band, of the newest one with a purchase and those before it."""
    found = [row for row in _recent(data) if row["is_anomaly"]]
    return sorted(found, key=lambda row: (-row["week"].toordinal(), row["category"]))


def _of_half_a_year(data: DomainData) -> list[Row]:
    """What has a week of its own: a category that fell silent keeps its newest row for longer."""
    newest = max((row["week"] for row in data.rows(WEEKS)), default=date.min)
    return [row for row in data.rows(WEEKS) if row["week"] + HALF_A_YEAR > newest]


def _recent(data: DomainData) -> list[Row]:
    since = (_newest_complete(data) or date.max) - RECENT
    return [row for row in _of_half_a_year(data) if row["week"] > since]


def _is_judged(row: Row) -> bool:
    """A week that is not over, or has too few weeks before it, is neither normal nor abnormal."""
    return bool(row["is_complete_week"]) and row["band_low"] is not None


def _newest_complete(data: DomainData) -> date | None:
    return max(
        (row["week"] for row in _of_half_a_year(data) if row["is_complete_week"]), default=None
    )


def _weeks_without(data: DomainData) -> int:
    """Complete weeks since the newest one with a transaction."""
    newest = _newest_complete(data)
    # A model that was built before the column was there lacks it.
    ends = [end for row in _of_half_a_year(data) if (end := row.get("first_unfinished_week"))]
    return max(0, (max(ends) - newest).days // 7 - 1) if newest and ends else 0


def _after_silence(data: DomainData, row: Row) -> str:
    """That the weeks just before had no transaction, which the band of a week does not tell."""
    before = [
        each["week"]
        for each in _of_half_a_year(data)
        if each["week"] < row["week"]
        and (each["category"], each["currency"]) == (row["category"], row["currency"])
    ]
    silent = (row["week"] - max(before)).days // 7 - 1 if before else 0
    return f", after {words.count(silent, 'week')} without any" if silent else ""


def _silent(data: DomainData) -> list[Row]:
    """The newest rows of categories in which nothing is bought any more, the latest first."""
    rows = [row for row in data.rows(WEEKS) if row.get("is_silent")]
    return sorted(rows, key=lambda row: row["week"], reverse=True)


def abnormal_figure(data: DomainData) -> Figure:
    rows = [row for row in _of_half_a_year(data) if row["is_anomaly"]]
    rows.sort(key=lambda row: (-row["week"].toordinal(), row["category"], row["currency"]))
    recent = recent_anomalies(data)
    judged = sum(_is_judged(row) for row in _of_half_a_year(data))
    weeks = {row["week"] for row in _of_half_a_year(data)}
    newest, missing = _newest_complete(data), _weeks_without(data)
    upto = ""
    if newest:
        upto = f", {words.number(len(recent))} in the {RECENT_WEEKS} up to that of {newest}"
    if missing:
        upto += f", the newest with transactions; {words.count(missing, 'week')} since without any"
    return Figure(
        key="anomalies",
        title="Abnormal weeks",
        answer=(
            f"{words.count(len(rows), 'abnormal amount')} of {words.number(judged)} judged, in "
            f"{words.count(len(weeks), 'week')} with transactions{upto}."
        ),
        source=data.extracts[WEEKS],
        columns=(
            Column("week", "Week of", "date"),
            Column("category", "Category"),
            Column("currency", "Currency"),
            Column("total_amount", "Amount", "amount"),
            Column("band_low", "Expected from", "amount"),
            Column("band_high", "to", "amount"),
            Column("transaction_count", "Transactions", "number"),
            Column("baseline_weeks", "Weeks compared with", "number"),
        ),
        rows=rows,
        as_of=words.text(max(weeks)),
        note="A week is compared with the weeks with transactions before it, never with itself; "
        "with too few of them, or not over, it is not judged.",
        data=rows,
    )


def weeks_figures(data: DomainData, currency: str, largest: Sequence[str]) -> list[Figure]:
    """The trend of the largest categories, and of those that were abnormal lately."""
    rows = [row for row in _of_half_a_year(data) if row["currency"] == currency]
    odd = [row["category"] for row in recent_anomalies(data) if row["currency"] == currency]
    figures: list[Figure] = []
    for category in list(dict.fromkeys([*odd, *largest]))[:3]:
        of_it = sorted(
            (
                {**row, "is_abnormal": row["is_anomaly"] if _is_judged(row) else None}
                for row in rows
                if row["category"] == category
            ),
            key=lambda row: row["week"],
        )
        if not of_it:
            continue
        complete = [row for row in of_it if row["is_complete_week"]]
        last = (complete or of_it)[-1]
        answer = (
            f"{currency} {words.number(last['total_amount'], 0)} in the week of "
            f"{words.text(last['week'])}{'' if complete else ' so far'}"
        )
        if complete and last["band_low"] is not None:
            inside = "outside of" if last["is_anomaly"] else "within"
            answer += (
                f", {inside} the expected {words.number(last['band_low'], 0)} to "
                f"{words.number(last['band_high'], 0)}"
            )
        figures.append(
            Figure(
                key=f"weeks-{len(figures) + 1}",
                title=f"{words.text(category)} by week",
                answer=f"{answer}.",
                source=data.extracts[WEEKS],
                columns=(
                    Column("week", "Week of", "date"),
                    Column("total_amount", "Amount", "amount"),
                    Column("ma_4week", "Mean of four weeks", "amount"),
                    Column("band_low", "Expected from", "amount"),
                    Column("band_high", "to", "amount"),
                    Column("is_abnormal", "Abnormal"),
                    Column("is_complete_week", "Complete"),
                ),
                rows=of_it[::-1],
                as_of=words.text(of_it[-1]["week"]),
                chart=charts.band(
                    complete,
                    "week",
                    "total_amount",
                    "band_low",
                    "band_high",
                    currency,
                    f"Line of weekly amounts within the band that is expected. {answer}.",
                    flag="is_anomaly",
                    middle="ma_4week",
                    days=7,
                )
                if complete
                else None,
                note="Dashed: mean of four weeks. A triangle marks an abnormal week, a gap weeks "
                "without transactions; a week that is not over is in the table alone.",
            )
        )
    return figures
