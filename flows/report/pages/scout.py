"""What is bought, whether it is normal, and what could not be used."""

from collections import Counter
from collections.abc import Sequence

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
        largest = _of_last_month(data, currency)[0]["category"]
        figures += weeks_figures(data, currency, largest)
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
    """The currency of most transactions: amounts of several are never added."""
    counted: Counter[str] = Counter()
    for row in data.rows(MONTHS):
        counted[row["currency"]] += row["transaction_count"]
    return min(counted, key=lambda each: (-counted[each], each)) if counted else None


def _of_last_month(data: DomainData, currency: str) -> list[Row]:
    """The newest complete month, else the newest."""
    rows = [row for row in data.rows(MONTHS) if row["currency"] == currency]
    complete = [row for row in rows if row["is_complete_month"]] or rows
    newest = max(row["month"] for row in complete)
    return sorted(
        (row for row in complete if row["month"] == newest), key=lambda row: -row["total_amount"]
    )


def _headline(data: DomainData, currency: str | None) -> str:
    if currency is None:
        return "No validated transaction lies in the window"
    rows = _of_last_month(data, currency)
    total = sum(row["total_amount"] for row in rows)
    month = f"{rows[0]['month']:%B %Y}{'' if rows[0]['is_complete_month'] else ' so far'}"
    largest = first_of(rows, "total_amount")
    part, each = ("part", "") if len(largest) == 1 else ("parts", " each")
    share = f" ({words.percent(rows[0]['total_amount'] / total, 0)}{each})" if total else ""
    most = f"{_named(largest, 'category')}{share}"
    told = f"{currency} {words.number(total, 0)} in {month}, the largest {part} {most}"
    return f"{told}; {is_it_normal(data, _lacking(data, currency))}"


def _lacking(data: DomainData, currency: str) -> str:
    """How many categories of the month before the last complete month lacks, if most of them."""
    last = _of_last_month(data, currency)
    month = last[0]["month"]
    earlier = [
        row for row in data.rows(MONTHS) if row["currency"] == currency and row["month"] < month
    ]
    if not earlier or not last[0]["is_complete_month"]:
        return ""
    before = max(row["month"] for row in earlier)
    had = {row["category"] for row in earlier if row["month"] == before}
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
    broken = [row for row in data.rows(REJECTIONS) if row["rejection_reason"] != "superseded"]
    share = sum(words.finite(row["share_of_judged"]) or 0 for row in broken)
    if broken:
        told.append(
            f"{words.percent(share)} of the payloads break a rule, most often {_worst(broken)}"
        )
    return tuple(told)


def _worst(broken: Sequence[Row]) -> str:
    """The most frequent reason, or those that are as frequent."""
    rows = sorted(broken, key=lambda row: -row["payloads"])
    return words.first(
        [words.spoken(row["rejection_reason"]) for row in first_of(rows, "payloads")], TOLD
    )


def _named(rows: Sequence[Row], column: str) -> str:
    return words.first([words.text(row[column]) for row in rows], TOLD)


def _months(data: DomainData, currency: str) -> list[Figure]:
    last = _of_last_month(data, currency)
    is_over = last[0]["is_complete_month"]
    rows = sorted(
        data.rows(MONTHS),
        key=lambda row: (row["currency"] != currency, -row["month"].toordinal(), row["category"]),
    )
    drawn = sorted(
        (row for row in rows if row["currency"] == currency),
        key=lambda row: (row["month"], row["category"]),
    )
    grown = [row for row in last if row["mom_growth_pct"] is not None]
    first = first_of(last, "total_amount")
    leads, each = ("leads", "") if len(first) == 1 else ("lead", " each")
    answer = (
        f"{currency} {words.number(sum(row['total_amount'] for row in last), 0)} in "
        f"{last[0]['month']:%B %Y}; {_named(first, 'category')} {leads} with "
        f"{words.number(last[0]['total_amount'], 0)}{each}"
    )
    if grown:
        most = max(grown, key=lambda row: abs(row["mom_growth_pct"]))
        answer += (
            f"; {words.text(most['category'])} changed most against the month before "
            f"({words.written(most['mom_growth_pct'], 'growth')})"
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
            note=f"In {currency}, the currency of most transactions; others are in the next table.",
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
            as_of=words.text(drawn[-1]["month"]),
            chart=_months_chart(drawn, currency),
            note="Growth of a month that is not complete compares a part with a whole.",
        ),
    ]


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
    rows = sorted(
        data.rows(REJECTIONS),
        key=lambda row: (row["rejection_reason"] == "superseded", -row["payloads"]),
    )
    broken = [row for row in rows if row["rejection_reason"] != "superseded"]
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
            f"{_worst(broken)} ({words.number(broken[0]['payloads'])}{each})."
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
        chart=charts.bars(
            [{**row, "reason": words.spoken(row["rejection_reason"])} for row in broken],
            "reason",
            "payloads",
            "payloads",
            f"Bars of rejected payloads by reason, the most frequent first. {answer}",
        )
        if broken
        else None,
        note="Superseded payloads break no rule: a newer one of their transaction replaced them.",
    )


def _intake(data: DomainData) -> Figure:
    rows = sorted(data.rows(INTAKE), key=lambda row: row["week"])
    last = rows[-1]
    answer = (
        f"{words.percent(last['sound_share'])} of {words.count(last['payloads'], 'payload')} in "
        f"the week of {words.text(last['week'])} break no rule."
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
        ),
        rows=rows[::-1],
        as_of=words.text(last["week"]),
        chart=charts.columns(
            rows,
            "week",
            {"accepted": "accepted", "superseded": "superseded", "rejected": "rejected"},
            "payloads",
            f"Stacked columns of payloads by week and by what became of them. {answer}",
            days=7,
        ),
    )
