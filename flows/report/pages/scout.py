"""What is bought, whether it is normal, and what could not be used."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.pages.scout_weeks import (
    TOLD,
    WEEKS,
    abnormal_figure,
    is_it_normal,
    not_normal,
    weeks_figures,
)
from flows.report.pages.ties import first_of
from flows.report.records import Chart, Column, DomainData, Figure, Page, Row

MONTHS = "rpt_scout_months"
REJECTIONS = "rpt_scout_rejections"
INTAKE = "rpt_scout_intake"


def page(data: DomainData) -> Page:
    figures: list[Figure] = []
    currency = main_currency(data)
    if currency:
        figures += _months(data, currency)
    if data.rows(WEEKS):
        figures.append(abnormal_figure(data))
    if currency:
        first = first_of(_of_last_month(data, currency), "total_amount")
        figures += weeks_figures(data, currency, [row["category"] for row in first])
    if data.rows(REJECTIONS):
        figures.append(_rejections(data))
    if data.rows(INTAKE):
        figures.append(_intake(data))
    return Page(
        "scout",
        "Scout",
        QUESTIONS["scout"],
        _headline(data, currency),
        _attention(data),
        tuple(figures),
    )


def main_currency(data: DomainData) -> str | None:
    """That of the last month's most transactions: amounts of several are never added."""
    rows = data.rows(MONTHS)
    return _most_used(rows, _last_month(rows)) if rows else None


def _most_used(rows: Sequence[Row], month: date) -> str:
    counted: Counter[str] = Counter()
    for row in rows:
        if row["month"] == month:
            counted[row["currency"]] += row["transaction_count"]
    return min(counted, key=lambda each: (-counted[each], each))


def _last_month(rows: Sequence[Row]) -> date:
    """The newest complete month, else the newest."""
    complete = [row for row in rows if row["is_complete_month"]] or rows
    newest: date = max(row["month"] for row in complete)
    return newest


def _of_last_month(data: DomainData, currency: str) -> list[Row]:
    """The largest first."""
    month = _last_month(data.rows(MONTHS))
    return sorted(
        (row for row in data.rows(MONTHS) if (row["month"], row["currency"]) == (month, currency)),
        key=lambda row: (-row["total_amount"], row["category"]),
    )


def _named(rows: Sequence[Row]) -> str:
    return words.first([words.text(row["category"]) for row in rows], TOLD)


def _headline(data: DomainData, currency: str | None) -> str:
    if currency is None:
        return "No validated transaction lies in the window"
    rows = _of_last_month(data, currency)
    total = sum(row["total_amount"] for row in rows)
    month = f"{rows[0]['month']:%B %Y}{'' if rows[0]['is_complete_month'] else ' so far'}"
    first = first_of(rows, "total_amount")
    part, each = ("part", "") if len(first) == 1 else ("parts", " each")
    share = f" ({words.percent(rows[0]['total_amount'] / total, 0)}{each})" if total else ""
    most = f"{_named(first)}{share}"
    told = f"{currency} {words.number(total, 0)} in {month}, the largest {part} {most}"
    return f"{told}; {is_it_normal(data, _lacking(data, currency))}"


def _lacking(data: DomainData, currency: str) -> str:
    """How many categories of the month before the last complete month lacks, if most of them.

    Or that the currency was another in the month before, with which nothing is compared then.
    """
    last = _of_last_month(data, currency)
    month = last[0]["month"]
    earlier = [row for row in data.rows(MONTHS) if row["month"] < month]
    if not earlier or not last[0]["is_complete_month"]:
        return ""
    before = _last_month(earlier)
    if (other := _most_used(earlier, before)) != currency:
        return f"most transactions of {before:%B %Y} were in {other}"
    had = {
        row["category"] for row in earlier if (row["month"], row["currency"]) == (before, currency)
    }
    gone = had - {row["category"] for row in last}
    if len(gone) * 2 <= len(had):
        return ""
    of = words.count(len(had), "category", "categories")
    have = "has" if len(gone) == 1 else "have"
    return (
        f"{words.number(len(gone))} of {of} of {before:%B %Y} {have} no {currency} transaction "
        f"in {month:%B}"
    )


def _attention(data: DomainData) -> tuple[str, ...]:
    told = not_normal(data)
    broken = _broken(data)
    share = sum(words.finite(row["share_of_judged"]) or 0 for row in broken)
    if broken:
        told.append(
            f"{words.percent(share)} of the payloads break a rule, most often {_reasons(broken)}"
        )
    return tuple(told)


def _broken(data: DomainData) -> list[Row]:
    """The reasons of payloads that break a rule, the most frequent first."""
    return sorted(
        (row for row in data.rows(REJECTIONS) if row["rejection_reason"] != "superseded"),
        key=lambda row: (-row["payloads"], row["rejection_reason"]),
    )


def _reasons(broken: Sequence[Row]) -> str:
    first = first_of(broken, "payloads")
    return words.first([words.spoken(row["rejection_reason"]) for row in first], TOLD)


def _months(data: DomainData, currency: str) -> list[Figure]:
    last = _of_last_month(data, currency)
    is_over = last[0]["is_complete_month"]
    rows = sorted(
        data.rows(MONTHS),
        key=lambda row: (row["currency"] != currency, -row["month"].toordinal(), row["category"]),
    )
    drawn = sorted(
        (row for row in rows if row["currency"] == currency and row["is_complete_month"]),
        key=lambda row: (row["month"], row["category"]),
    )
    first = first_of(last, "total_amount")
    lead, each = ("leads", "") if len(first) == 1 else ("lead", " each")
    answer = (
        f"{currency} {words.number(sum(row['total_amount'] for row in last), 0)} in "
        f"{last[0]['month']:%B %Y}; {_named(first)} {lead} with "
        f"{words.number(last[0]['total_amount'], 0)}{each}{_changed(data, last)}"
    )
    if lacking := _lacking(data, currency):
        answer += f"; {lacking}"
    columns = (
        Column("month", "Month", "date"),
        Column("category", "Category"),
        Column("currency", "Currency"),
        Column("total_amount", "Amount", "amount"),
        Column("transaction_count", "Transactions", "number"),
        Column("mom_growth_pct", "Against month before", "growth"),
        Column("yoy_growth_pct", "Against year before", "growth"),
        Column("is_complete_month", "Complete"),
    )
    return [
        Figure(
            key="last-month",
            title="The last complete month" if is_over else "This month so far",
            answer=f"{answer}.",
            source=data.extracts[MONTHS],
            columns=columns[1:],
            rows=last,
            as_of=f"{last[0]['month']:%B %Y}",
            chart=charts.bars(
                last,
                "category",
                "total_amount",
                currency,
                f"Bars of amounts by category. {answer}.",
            ),
            note=f"In {currency}, the currency of the month's most transactions; others are in the "
            "next table.",
        ),
        Figure(
            key="months",
            title="Months by category",
            answer=f"{words.count(len({row['month'] for row in rows}), 'month')} in "
            f"{words.listed(sorted({words.text(row['currency']) for row in rows}))}; the picture "
            f"is {currency}.",
            source=data.extracts[MONTHS],
            columns=columns,
            rows=rows,
            as_of=words.text(rows[0]["month"]),
            chart=_months_chart(drawn, currency) if drawn else None,
            note="A month that is not over is in the table alone; its growth compares a part with "
            "a whole.",
        ),
    ]


def _changed(data: DomainData, last: Sequence[Row]) -> str:
    """Whose amount changed most against the calendar month before, what vanished included."""
    month, currency = last[0]["month"], last[0]["currency"]
    before = {
        row["category"]: row["total_amount"]
        for row in data.rows(MONTHS)
        if (row["month"], row["currency"]) == (_month_before(month), currency)
    }
    if not before or not last[0]["is_complete_month"]:
        return ""
    now = {row["category"]: row["total_amount"] for row in last}
    changes = {
        category: now.get(category, 0) - before.get(category, 0) for category in {*now, *before}
    }
    furthest = max(abs(change) for change in changes.values())
    if not furthest:
        return "; no category changed against the month before"
    told = [
        f"{words.text(category)} ({words.signed(change, 0 if furthest >= 1 else 2)}"
        f"{'' if category in now else ', to nothing'})"
        for category, change in sorted(changes.items())
        if abs(change) == furthest
    ]
    return f"; {words.first(told, TOLD)} changed most against the month before"


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _months_chart(rows: Sequence[Row], currency: str) -> Chart:
    """The five largest categories by name, all others together: few colours are told apart."""
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["category"]] += int(row["total_amount"])
    named = [category for category, _ in totals.most_common(5)]
    parts = [
        {**row, "part": row["category"] if row["category"] in named else "all others"}
        for row in rows
    ]
    order = {name: place for place, name in enumerate([*named, "all others"])}
    parts.sort(key=lambda row: (order[row["part"]], row["month"]))
    return charts.columns_of(
        parts,
        "month",
        "part",
        "total_amount",
        currency,
        f"Stacked columns of {currency} by month and category, the five largest by name.",
        days=30,
    )


def _rejections(data: DomainData) -> Figure:
    broken = _broken(data)
    rows = [
        *broken,
        *(row for row in data.rows(REJECTIONS) if row["rejection_reason"] == "superseded"),
    ]
    total = sum(row["payloads"] for row in broken)
    running = 0
    shown = []
    for row in rows:
        is_broken = row["rejection_reason"] != "superseded"
        running += row["payloads"] if is_broken else 0
        cumulated = running / total if is_broken and total else None
        shown.append({**row, "cumulated_share": cumulated})
    answer = "No payload breaks a rule."
    if broken:
        each = "" if len(first_of(broken, "payloads")) == 1 else " each"
        share = sum(words.finite(row["share_of_judged"]) or 0 for row in broken)
        answer = (
            f"{words.count(total, 'payload breaks', 'payloads break')} a rule "
            f"({words.percent(share)} of "
            f"{words.number(rows[0]['judged_payloads'])} ever judged), most often "
            f"{_reasons(broken)} ({words.number(broken[0]['payloads'])}{each})."
        )
    return Figure(
        key="rejections",
        title="What was rejected, and why",
        answer=answer,
        source=data.extracts[REJECTIONS],
        columns=(
            Column("rejection_reason", "Reason", "code"),
            Column("payloads", "Payloads", "number"),
            Column("share_of_judged", "Of all judged", "percent"),
            Column("cumulated_share", "Of rejected, cumulated", "percent"),
            Column("newest_ingested_at", "Newest came", "date"),
        ),
        rows=shown,
        as_of="the last build",
        chart=charts.pareto(
            [
                {**row, "reason": words.spoken(row["rejection_reason"])}
                for row in shown[: len(broken)]
            ],
            "reason",
            "payloads",
            "cumulated_share",
            "payloads",
            "Bars of rejected payloads by reason, the most frequent first, and a line of the share "
            f"that they have together. {answer}",
        )
        if broken
        else None,
        note="Superseded payloads break no rule: a newer one of their transaction replaced them.",
    )


def _intake(data: DomainData) -> Figure:
    rows = sorted(data.rows(INTAKE), key=lambda row: row["week"])
    # A model that was built before the column was there lacks it.
    complete = [row for row in rows if row.get("is_complete_week") is not False]
    last = (complete or rows)[-1]
    answer = (
        f"{words.percent(last['sound_share'])} of {words.count(last['payloads'], 'payload')} in "
        f"the week of {words.text(last['week'])}{'' if complete else ' so far'} break no rule."
    )
    return Figure(
        key="intake",
        title="How sound the payloads are",
        answer=answer,
        source=data.extracts[INTAKE],
        columns=(
            Column("week", "Week of", "date"),
            Column("payloads", "Payloads", "number"),
            Column("accepted", "Accepted", "number"),
            Column("superseded", "Superseded", "number"),
            Column("rejected", "Rejected", "number"),
            Column("sound_share", "Break no rule", "percent"),
            Column("is_complete_week", "Complete"),
        ),
        rows=rows[::-1],
        as_of=words.text(last["week"]),
        chart=charts.columns(
            complete,
            "week",
            {"accepted": "accepted", "superseded": "superseded", "rejected": "rejected"},
            "payloads",
            f"Stacked columns of payloads by week and by what became of them. {answer}",
            days=7,
        )
        if complete
        else None,
        note="A week that is not over is in the table alone.",
    )
