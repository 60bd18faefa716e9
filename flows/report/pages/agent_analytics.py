"""What agents cost, what the month will cost, and what they yield."""

from collections.abc import Mapping, Sequence
from datetime import date

from flows.report import charts, words
from flows.report.pages.empty import QUESTIONS
from flows.report.records import Chart, Column, DomainData, Figure, Page, Row

DAILY = "rpt_agents_daily"
DEVELOPERS = "rpt_agents_developers"
MODELS = "rpt_agents_models"
SILENT = "rpt_agents_silent"
STATUS = {
    "within": "it will hold",
    "unknown": "whether it holds is not known before two whole days",
}
UNPRICED = "whether it holds is not known, as tokens have no price"
UNPRICED_TOKENS = Column(
    "unpriced_tokens", "Tokens without a price, month and forecast's days", "number"
)
UNPRICED_NOTE = (
    "Tokens without a price are those of the month so far and of the days, also of the month "
    "before, that the forecast is drawn from; cache reads are among them."
)
PASSED = {"over"}
OVER = {*PASSED, "will be over", "may be over"}


def page(data: DomainData, today: date) -> Page:
    figures = []
    if data.rows(DEVELOPERS):
        figures.append(_month(data, today))
    if data.rows(DAILY):
        figures.append(_daily(data))
    if data.rows(DEVELOPERS):
        figures.append(_developers(data))
    if data.rows(MODELS):
        figures.append(_models(data))
    if data.rows(SILENT):
        figures.append(_silent(data))
    return Page(
        "agent_analytics",
        "Coding agents",
        QUESTIONS["agent_analytics"],
        _headline(data, today),
        _attention(data, today),
        tuple(figures),
    )


def _everybody(data: DomainData) -> Row | None:
    return next((row for row in data.rows(DEVELOPERS) if row["developer_id"] == "all"), None)


def _interval(row: Row) -> str:
    return f"{words.money(row['forecast_low_usd'])} to {words.money(row['forecast_high_usd'])}"


def _so_far(row: Row) -> str:
    cost = words.money(row["month_to_date_cost_usd"])
    return f"{cost} so far; what it will cost shows after a whole day"


def _is_over(row: Row, today: date) -> bool:
    """Whether the month of the last known day is, as that of a source that stands still."""
    first: date = row["month_start"]
    return (today.year, today.month) > (first.year, first.month)


def _month_over(row: Row, today: date) -> str:
    return f" in {row['month_start']:%B %Y}" if _is_over(row, today) else ""


def _agents(data: DomainData) -> dict[str, str]:
    """The names of agents to show, by their types."""
    return {row["agent_type"]: words.text(row["agent"]) for row in data.rows(DAILY) if row["agent"]}


def _agent(names: Mapping[str, str], row: Row) -> str:
    return names.get(row["agent_type"]) or words.spoken(row["agent_type"])


def _headline(data: DomainData, today: date) -> str:
    total = _everybody(data)
    if total is None or words.finite(total["month_to_date_cost_usd"]) is None:
        return "No cost is known yet"
    if _is_over(total, today):
        return _cost(total)
    if words.finite(total["forecast_cost_usd"]) is None:
        return f"{total['month_start']:%B %Y} has cost {_so_far(total)}"
    told = f"{total['month_start']:%B %Y} will cost {_interval(total)}"
    if words.finite(total["monthly_budget_usd"]) is None:
        return f"{told}; there is no budget"
    return f"{told}; budget {words.money(total['monthly_budget_usd'])}: {_verdict(total)}"


def _cost(row: Row) -> str:
    """What a month that is over cost, as far as is known."""
    cost = words.money(row["month_to_date_cost_usd"])
    upto = f" up to {words.text(row['as_of_date'])}, the last known day" if row["days_left"] else ""
    told = f"{row['month_start']:%B %Y} cost {cost}{upto}"
    if words.finite(row["monthly_budget_usd"]) is None:
        return f"{told}; there was no budget"
    if row["budget_status"] in PASSED:
        held = "it was passed"
    elif row["unpriced_tokens"]:
        held = "whether it held is not known, as tokens have no price"
    else:
        held = "it was not passed by then" if row["days_left"] else "it held"
    return f"{told}; budget {words.money(row['monthly_budget_usd'])}: {held}"


def _verdict(row: Row) -> str:
    status = words.text(row["budget_status"])
    is_unpriced = status == "unknown" and row["unpriced_tokens"]
    return UNPRICED if is_unpriced else STATUS.get(status, status)


def _attention(data: DomainData, today: date) -> tuple[str, ...]:
    told = []
    names = [
        f"{words.text(row['developer'])} ({words.text(row['budget_status'])}"
        f"{_month_over(row, today)})"
        for row in data.rows(DEVELOPERS)
        if row["budget_status"] in (PASSED if _is_over(row, today) else OVER)
    ]
    if names:
        told.append(f"Budget: {words.first(names, 3)}")
    unpriced = sorted(
        {words.text(row["model_name"]) for row in data.rows(MODELS) if row["unpriced_tokens"]}
    )
    if unpriced:
        told.append(
            f"{words.count(len(unpriced), 'model has', 'models have')} tokens without a price in "
            f"30 days: {words.first(unpriced, 3)}"
        )
    if silent := data.rows(SILENT):
        many = words.count(silent[0]["silent_senders"], "sender has", "senders have")
        told.append(f"{many} fallen silent")
    return tuple(told)


def _month(data: DomainData, today: date) -> Figure:
    total = _everybody(data)
    rows = [total] if total else []
    answer = "No cost is known yet."
    drawn: list[Row] = []
    if total and words.finite(total["month_to_date_cost_usd"]) is not None:
        answer = f"{_so_far(total)}."
    if total and words.finite(total["forecast_cost_usd"]) is not None:
        answer = (
            f"{words.money(total['month_to_date_cost_usd'])} up to "
            f"{words.text(total['as_of_date'])}; the whole month is expected at "
            f"{words.money(total['forecast_cost_usd'])} ({_interval(total)}, to hold four of five "
            "months)"
        )
        budget = words.finite(total["monthly_budget_usd"])
        answer += (
            f"; the budget is {words.money(budget)}: {_verdict(total)}."
            if budget is not None
            else "; there is no budget."
        )
        drawn = [
            {
                "label": "whole month, expected",
                "value": total["forecast_cost_usd"],
                "low": total["forecast_low_usd"],
                "high": total["forecast_high_usd"],
            },
            {
                "label": "month so far",
                "value": total["month_to_date_cost_usd"],
                "low": total["month_to_date_cost_usd"],
                "high": total["month_to_date_cost_usd"],
            },
        ]
    is_over = total is not None and _is_over(total, today)
    if total and is_over:
        answer = f"{_cost(total)}."
    return Figure(
        key="month",
        title="What the month cost" if is_over else "What the month will cost",
        answer=answer,
        source=data.extracts[DEVELOPERS],
        columns=(
            Column("month_start", "Month", "date"),
            Column("month_to_date_cost_usd", "So far", "money"),
            Column("forecast_low_usd", "Expected from", "money"),
            Column("forecast_cost_usd", "Expected", "money"),
            Column("forecast_high_usd", "to", "money"),
            Column("monthly_budget_usd", "Budget", "money"),
            Column("budget_status", "Status"),
            Column("days_left", "Days left", "number"),
            UNPRICED_TOKENS,
        ),
        rows=rows,
        as_of=words.text(total["as_of_date"]) if total else "",
        chart=charts.intervals(
            drawn,
            "label",
            "value",
            "low",
            "high",
            "USD",
            f"The month so far and its forecast with its interval. {answer}",
            form="$,.0f",
        )
        if drawn
        else None,
        note="Tokens at the list price of their day. What has no price is in no cost: while some "
        "is missing, the status of the budget is unknown unless what is known is too much. "
        + UNPRICED_NOTE,
    )


def _daily(data: DomainData) -> Figure:
    rows = sorted(data.rows(DAILY), key=lambda row: (row["date"], row["agent"]))
    days = sorted({row["date"] for row in rows})
    total = sum(words.finite(row["cost_usd"]) or 0 for row in rows)
    read = sum(row["cache_read_tokens"] or 0 for row in rows)
    prompt = read + sum(
        (row["input_tokens"] or 0) + (row["cache_creation_tokens"] or 0) for row in rows
    )
    hits = f"; {words.percent(read / prompt)} of the prompts came from the cache" if prompt else ""
    on = words.count(len(days), "day")
    answer = f"{words.money(total)} on {on} up to {words.text(days[-1])}{hits}."
    costs: dict[str, float] = {}
    for row in rows:
        costs[row["agent"]] = costs.get(row["agent"], 0) + (words.finite(row["cost_usd"]) or 0)
    order = {name: at for at, name in enumerate(sorted(costs, key=lambda name: -costs[name]))}
    drawn = [
        {**row, "agent": row["agent"] if order[row["agent"]] < 5 else "all others"} for row in rows
    ]
    drawn.sort(key=lambda row: order.get(row["agent"], 99))
    return Figure(
        key="daily",
        title="Cost by day",
        answer=answer,
        source=data.extracts[DAILY],
        columns=(
            Column("date", "Day", "date"),
            Column("agent", "Agent"),
            Column("cost_usd", "List price", "money"),
            Column("reported_cost_usd", "Reported", "money"),
            Column("total_tokens", "Tokens but cache reads", "number"),
            Column("cache_read_tokens", "Read from cache", "number"),
            Column("unpriced_tokens", "Without a price, cache reads too", "number"),
        ),
        rows=rows[::-1],
        as_of=words.text(days[-1]),
        chart=charts.columns_of(
            drawn,
            "date",
            "agent",
            "cost_usd",
            "USD",
            f"Stacked columns of cost by day and agent. {answer}",
        ),
    )


def _developers(data: DomainData) -> Figure:
    rows = sorted(
        (row for row in data.rows(DEVELOPERS) if row["developer_id"] != "all"),
        key=lambda row: row["place"],
    )
    total = _everybody(data)
    each = words.money(total["cost_per_commit_usd"]) if total else words.ABSENT
    commits = total["assisted_commits"] if total else 0
    month = f"{total['month_start']:%B %Y}" if total else "the month"
    answer = f"{words.count(commits, 'assisted commit')} in {month}, {each} each"
    if rows:
        first = rows[0]
        answer += (
            f"; {words.text(first['developer'])} costs most: "
            f"{words.money(first['month_to_date_cost_usd'])}"
        )
    shown = rows[:12]
    return Figure(
        key="developers",
        title="By developer",
        answer=f"{answer}.",
        source=data.extracts[DEVELOPERS],
        columns=(
            Column("developer", "Developer"),
            Column("month_to_date_cost_usd", "So far", "money"),
            Column("forecast_cost_usd", "Expected", "money"),
            Column("monthly_budget_usd", "Budget", "money"),
            Column("budget_status", "Status"),
            Column("assisted_commits", "Assisted commits", "number"),
            Column("cost_per_commit_usd", "Per commit", "money"),
            UNPRICED_TOKENS,
        ),
        rows=rows,
        as_of=words.text(total["as_of_date"]) if total else "",
        chart=charts.bars(
            shown,
            "developer",
            "month_to_date_cost_usd",
            "USD of the month so far",
            "Bars of the month's cost, the first "
            f"{words.count(len(shown), 'developer')}. {answer}.",
            form="$,.0f",
        )
        if shown
        else None,
        note="The month of the last known day. The cost of a commit is the part of its session's. "
        + UNPRICED_NOTE,
    )


def _models(data: DomainData) -> Figure:
    names = _agents(data)
    rows = [
        {**row, "agent": _agent(names, row)}
        for row in sorted(data.rows(MODELS), key=lambda row: row["place"])
    ]
    priced = [row for row in rows if row["cost_usd"] is not None]
    unpriced = [row for row in rows if row["unpriced_tokens"]]
    answer = "No model has a price"
    if priced:
        first = priced[0]
        answer = f"{words.text(first['model_name'])} costs most: {words.money(first['cost_usd'])}"
    tokens = sum(row["unpriced_tokens"] for row in unpriced)
    answer += (
        f"; {words.count(tokens, 'token', 'tokens')} of 30 days, cache reads among them, "
        f"{'has' if tokens == 1 else 'have'} no price."
        if tokens
        else "; all tokens have a price."
    )
    return Figure(
        key="models",
        title="By model",
        answer=answer,
        source=data.extracts[MODELS],
        columns=(
            Column("model_name", "Model"),
            Column("agent", "Agent"),
            Column("cost_usd", "List price", "money"),
            Column("reported_cost_usd", "Reported", "money"),
            Column("total_tokens", "Tokens but cache reads", "number"),
            Column("cache_hit_rate", "From cache", "percent"),
            Column("unpriced_tokens", "Without a price, cache reads too", "number"),
        ),
        rows=rows,
        as_of=words.text(rows[0]["last_date"]),
        chart=_models_chart(priced, answer) if priced else None,
        note="30 days up to the newest with usage. Reported is what the agent's vendor estimates.",
    )


def _models_chart(priced: Sequence[Row], answer: str) -> Chart:
    is_one = len({row["agent"] for row in priced}) == 1
    named = [
        {
            **row,
            "name": words.text(row["model_name"])
            + ("" if is_one else f", {words.text(row['agent'])}"),
        }
        for row in priced[:12]
    ]
    return charts.bars(
        named,
        "name",
        "cost_usd",
        "USD in 30 days",
        f"Bars of cost by model and agent. {answer}",
        form="$,.0f",
    )


def _silent(data: DomainData) -> Figure:
    names = _agents(data)
    people = {row["developer_id"]: row["developer"] for row in data.rows(DEVELOPERS)}
    rows = [
        {
            **row,
            "agent": _agent(names, row),
            "developer": people.get(row["developer_id"]) or row["developer_id"],
        }
        for row in sorted(data.rows(SILENT), key=lambda row: row["place"])
    ]
    return Figure(
        key="silent",
        title="Who has fallen silent",
        answer=(
            f"{words.count(rows[0]['silent_senders'], 'sender sends', 'senders send')} no more "
            "what came before: was telemetry turned off?"
        ),
        source=data.extracts[SILENT],
        columns=(
            Column("developer", "Developer"),
            Column("agent", "Agent"),
            Column("signal", "Signal"),
            Column("last_seen_at", "Last seen", "date"),
        ),
        rows=rows,
        as_of="the last build",
    )
