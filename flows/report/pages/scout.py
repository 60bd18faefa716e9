"""What is bought, whether it is normal, and what could not be used."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.records import Chart, Column, DomainData, Figure, Page, Row

MONTHS = "rpt_scout_months"
WEEKS = "rpt_scout_weeks"
REJECTIONS = "rpt_scout_rejections"
INTAKE = "rpt_scout_intake"
RECENT_WEEKS = 4
RECENT = timedelta(weeks=RECENT_WEEKS)


def page(data: DomainData) -> Page:
    figures: list[Figure] = []
    currency = main_currency(data)
    if currency:
        figures += _months(data, currency)
    if data.rows(WEEKS):
        figures.append(_anomalies(data))
    if currency:
        figures += _weeks(data, currency)
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


def recent_anomalies(data: DomainData) -> list[Row]:
    """Complete weeks out of their band, of the newest one with a purchase and those before it."""
    since = (_newest_complete(data) or date.max) - RECENT
    found = [row for row in data.rows(WEEKS) if row["is_anomaly"] and row["week"] > since]
    return sorted(found, key=lambda row: (-row["week"].toordinal(), row["category"]))


def _newest_complete(data: DomainData) -> date | None:
    return max((row["week"] for row in data.rows(WEEKS) if row["is_complete_week"]), default=None)


def _weeks_without(data: DomainData) -> int:
    """Complete weeks since the newest one with a transaction."""
    newest = _newest_complete(data)
    # A model that was built before the column was there lacks it.
    ends = [end for row in data.rows(WEEKS) if (end := row.get("first_unfinished_week"))]
    return max(0, (max(ends) - newest).days // 7 - 1) if newest and ends else 0


def _after_silence(data: DomainData, row: Row) -> str:
    """That the weeks just before had no transaction, which the band of a week does not tell."""
    before = [
        each["week"]
        for each in data.rows(WEEKS)
        if each["week"] < row["week"]
        and (each["category"], each["currency"]) == (row["category"], row["currency"])
    ]
    silent = (row["week"] - max(before)).days // 7 - 1 if before else 0
    return f", after {words.count(silent, 'week')} without any" if silent else ""


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
    share = f" ({words.percent(rows[0]['total_amount'] / total, 0)})" if total else ""
    most = f"{words.text(rows[0]['category'])}{share}"
    told = f"{currency} {words.number(total, 0)} in {month}, the largest part {most}"
    if missing := _weeks_without(data):
        since = words.count(missing, "complete week has", "complete weeks have")
        return f"{told}; the last {since} no transaction"
    odd = recent_anomalies(data)
    if not odd:
        return f"{told}; no category is abnormal"
    names = sorted({words.text(row["category"]) for row in odd})
    verb = "is" if len(names) == 1 else "are"
    return f"{told}; {words.listed(names[:3])} {verb} abnormal"


def _attention(data: DomainData) -> tuple[str, ...]:
    told = [
        f"{words.text(row['category'])} ({words.text(row['currency'])}) was "
        f"{words.number(row['total_amount'], 0)} in the week of {words.text(row['week'])}, "
        f"outside of {words.number(row['band_low'], 0)} to {words.number(row['band_high'], 0)}"
        f"{_after_silence(data, row)}"
        for row in recent_anomalies(data)[:3]
    ]
    silent = [row for row in data.rows(WEEKS) if row.get("is_silent")]
    told += [
        f"{words.text(row['category'])} ({words.text(row['currency'])}) has had nothing since the "
        f"week of {words.text(row['week'])}, others in {words.count(row['silent_weeks'], 'week')}"
        for row in sorted(silent, key=lambda row: row["week"], reverse=True)[:3]
    ]
    broken = [row for row in data.rows(REJECTIONS) if row["rejection_reason"] != "superseded"]
    share = sum(words.finite(row["share_of_judged"]) or 0 for row in broken)
    if broken:
        worst = max(broken, key=lambda row: row["payloads"])
        told.append(
            f"{words.percent(share)} of the payloads break a rule, most often "
            f"{words.text(worst['rejection_reason'])}"
        )
    return tuple(told)


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
    answer = (
        f"{currency} {words.number(sum(row['total_amount'] for row in last), 0)} in "
        f"{last[0]['month']:%B %Y}; {words.text(last[0]['category'])} leads with "
        f"{words.number(last[0]['total_amount'], 0)}"
    )
    if grown:
        most = max(grown, key=lambda row: abs(row["mom_growth_pct"]))
        answer += (
            f"; {words.text(most['category'])} changed most against the month before "
            f"({words.written(most['mom_growth_pct'], 'growth')})"
        )
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


def _anomalies(data: DomainData) -> Figure:
    rows = [row for row in data.rows(WEEKS) if row["is_anomaly"]]
    rows.sort(key=lambda row: (-row["week"].toordinal(), row["category"], row["currency"]))
    recent = recent_anomalies(data)
    weeks = {row["week"] for row in data.rows(WEEKS)}
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
            f"{words.count(len(rows), 'abnormal amount')} in "
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
        note="A week is compared with the weeks with transactions before it, never with itself.",
        data=rows,
    )


def _weeks(data: DomainData, currency: str) -> list[Figure]:
    """The trend of the largest category, and of each that was abnormal lately."""
    rows = [row for row in data.rows(WEEKS) if row["currency"] == currency]
    largest = [row["category"] for row in _of_last_month(data, currency)[:1]]
    odd = [row["category"] for row in recent_anomalies(data) if row["currency"] == currency]
    figures: list[Figure] = []
    for category in list(dict.fromkeys([*odd, *largest]))[:3]:
        of_it = sorted(
            (row for row in rows if row["category"] == category), key=lambda row: row["week"]
        )
        if not of_it:
            continue
        complete = [row for row in of_it if row["is_complete_week"]] or of_it
        last = complete[-1]
        answer = (
            f"{currency} {words.number(last['total_amount'], 0)} in the week of "
            f"{words.text(last['week'])}"
        )
        if last["band_low"] is not None:
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
                    Column("is_anomaly", "Abnormal"),
                    Column("is_complete_week", "Complete"),
                ),
                rows=of_it[::-1],
                as_of=words.text(of_it[-1]["week"]),
                chart=charts.band(
                    of_it,
                    "week",
                    "total_amount",
                    "band_low",
                    "band_high",
                    currency,
                    f"Line of weekly amounts within the band that is expected. {answer}.",
                    flag="is_anomaly",
                    middle="ma_4week",
                ),
                note="Dashed: mean of four weeks. A triangle marks an abnormal week.",
            )
        )
    return figures


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
        share = sum(words.finite(row["share_of_judged"]) or 0 for row in broken)
        answer = (
            f"{words.count(total, 'payload breaks', 'payloads break')} a rule "
            f"({words.percent(share)} of "
            f"{words.number(rows[0]['judged_payloads'])}), most often "
            f"{words.text(broken[0]['rejection_reason'])} ({words.number(broken[0]['payloads'])})."
        )
    return Figure(
        key="rejections",
        title="What was rejected, and why",
        answer=answer,
        source=data.extracts[REJECTIONS],
        columns=(
            Column("rejection_reason", "Reason"),
            Column("payloads", "Payloads", "number"),
            Column("share_of_judged", "Of all judged", "percent"),
            Column("cumulated_share", "Of rejected, cumulated", "percent"),
            Column("newest_ingested_at", "Newest came", "date"),
        ),
        rows=shown,
        as_of="the last build",
        chart=charts.bars(
            broken,
            "rejection_reason",
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
