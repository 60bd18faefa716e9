"""What agents cost, what the month will cost, and what they yield."""

from collections.abc import Mapping, Sequence
from datetime import date

from flows.report import charts, words
from flows.report.pages.agents_month import (
    DEVELOPERS,
    PASSED,
    UNPRICED_NOTE,
    UNPRICED_TOKENS,
    everybody,
    headline,
    is_over,
    month_figure,
    with_status,
)
from flows.report.pages.empty import QUESTIONS
from flows.report.pages.people import told_apart
from flows.report.pages.ties import first_of
from flows.report.records import Chart, Column, DomainData, Figure, Page, Row

DAILY = "rpt_agents_daily"
MODELS = "rpt_agents_models"
SILENT = "rpt_agents_silent"
LISTED = 50
TOLD = 3
OVER = {*PASSED, "will be over", "may be over"}


def page(data: DomainData, today: date) -> Page:
    data = told_apart(data, [DEVELOPERS], "developer_id", "developer")
    figures = []
    if data.rows(DEVELOPERS):
        figures.append(month_figure(data, today))
    if data.rows(DAILY):
        figures.append(_daily(data))
    if data.rows(DEVELOPERS):
        figures.append(_developers(data, today))
    if data.rows(MODELS):
        figures.append(_models(data))
    if data.rows(SILENT):
        figures.append(_silent(data))
    return Page(
        "agent_analytics",
        "Coding agents",
        QUESTIONS["agent_analytics"],
        headline(data, today),
        _attention(data, today),
        tuple(figures),
    )


def _month_over(row: Row, today: date) -> str:
    return f" in {row['month_start']:%B %Y}" if is_over(row, today) else ""


def _agents(data: DomainData) -> dict[str, str]:
    """The names of agents to show, by their types."""
    return {row["agent_type"]: words.text(row["agent"]) for row in data.rows(DAILY) if row["agent"]}


def _agent(names: Mapping[str, str], row: Row) -> str:
    return names.get(row["agent_type"]) or words.spoken(row["agent_type"])


def _attention(data: DomainData, today: date) -> tuple[str, ...]:
    told = []
    names = [
        f"{words.text(row['developer'])} ({words.text(row['budget_status'])}"
        f"{_month_over(row, today)})"
        for row in data.rows(DEVELOPERS)
        if row["budget_status"] in (PASSED if is_over(row, today) else OVER)
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


def _daily(data: DomainData) -> Figure:
    rows = sorted(data.rows(DAILY), key=lambda row: (row["date"], row["agent"]))
    days = sorted({row["date"] for row in rows})
    used = sorted({row["date"] for row in rows if _is_used(row)}) or days
    total = sum(words.finite(row["cost_usd"]) or 0 for row in rows)
    read = sum(row["cache_read_tokens"] or 0 for row in rows)
    prompt = read + sum(
        (row["input_tokens"] or 0) + (row["cache_creation_tokens"] or 0) for row in rows
    )
    hits = f"; {words.percent(read / prompt)} of the prompts came from the cache" if prompt else ""
    on = words.count(len(used), "day")
    answer = f"{words.money(total)} on {on} up to {words.text(used[-1])}{hits}."
    costs: dict[str, float] = {}
    for row in rows:
        costs[row["agent"]] = costs.get(row["agent"], 0) + (words.finite(row["cost_usd"]) or 0)
    order = {name: at for at, name in enumerate(sorted(costs, key=lambda name: -costs[name]))}
    drawn = [
        {**row, "agent": row["agent"] if order[row["agent"]] < 5 else "all others"}
        for row in rows
        # A model that was built before the column was there lacks it.
        if row["is_complete_day"] is not False
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
        )
        if drawn
        else None,
        note="A day that is not over is in the table alone.",
    )


def _is_used(row: Row) -> bool:
    """Whether an agent was used on the day: a day may have a commit alone."""
    known = ("cost_usd", "reported_cost_usd", "total_tokens", "cache_read_tokens")
    return any(words.finite(row[column]) for column in known)


def _yielded(total: Row | None) -> str:
    """How many commits agents assisted, and what one costs of those whose cost is known."""
    if total is None:
        return "0 assisted commits in the month"
    commits = total["assisted_commits"]
    told = f"{words.count(commits, 'assisted commit')} in {total['month_start']:%B %Y}"
    # A model that was built before the column was there lacks it.
    known = commits if (found := total.get("commits_with_cost")) is None else found
    each = words.money(total["cost_per_commit_usd"])
    if known and known == commits:
        return f"{told}, {each}{_each(known)}"
    if known:
        return f"{told}; of {words.number(known)} the cost is known: {each}{_each(known)}"
    return f"{told}; of none the cost is known" if commits else told


def _each(many: int) -> str:
    return "" if many == 1 else " each"


def _developers(data: DomainData, today: date) -> Figure:
    rows = sorted(
        (with_status(row, today) for row in data.rows(DEVELOPERS) if row["developer_id"] != "all"),
        key=lambda row: row["place"],
    )
    total = everybody(data)
    answer = _yielded(total)
    if rows:
        answer += f"; {_dearest(rows, 'developer', 'month_to_date_cost_usd')} of the month so far"
    listed = f" The first {LISTED} are listed." if len(rows) > LISTED else ""
    shown = rows[:12]
    return Figure(
        key="developers",
        title="By developer, the month",
        answer=f"{answer}.{listed}",
        source=data.extracts[DEVELOPERS],
        columns=(
            Column("developer", "Developer"),
            Column("month_to_date_cost_usd", "So far", "money"),
            Column("forecast_cost_usd", "Expected", "money"),
            Column("monthly_budget_usd", "Budget", "money"),
            Column("budget_status", "Status"),
            Column("assisted_commits", "Assisted commits", "number"),
            Column("commits_with_cost", "With a cost", "number"),
            Column("cost_per_commit_usd", "Per commit with a cost", "money"),
            UNPRICED_TOKENS,
        ),
        rows=rows[:LISTED],
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
        note="The month of the last known day. The cost of a commit is the part of its session's, "
        "also of days before the month. " + UNPRICED_NOTE,
    )


def _dearest(rows: Sequence[Row], name: str, cost: str) -> str:
    first = first_of(rows, cost)
    names = words.first(list(dict.fromkeys(words.text(row[name]) for row in first)), TOLD)
    most = "costs most" if len(first) == 1 else "cost most, each"
    return f"{names} {most}: {words.money(first[0][cost])}"


def _models(data: DomainData) -> Figure:
    names = _agents(data)
    rows = [
        {**row, "agent": _agent(names, row)}
        for row in sorted(data.rows(MODELS), key=lambda row: row["place"])
    ]
    priced = [row for row in rows if row["cost_usd"] is not None]
    answer = "No model has a price"
    if priced:
        answer = (
            f"{_dearest(priced, 'model_name', 'cost_usd')} in the 30 days up to "
            f"{words.text(rows[0]['last_date'])}"
        )
    tokens = sum(row["unpriced_tokens"] or 0 for row in rows)
    answer += (
        f"; {words.count(tokens, 'token', 'tokens')} of 30 days, cache reads among them, "
        f"{'has' if tokens == 1 else 'have'} no price."
        if tokens
        else "; all tokens have a price."
    )
    answer += f" The first {LISTED} are listed." if len(rows) > LISTED else ""
    return Figure(
        key="models",
        title="By model, 30 days",
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
        rows=rows[:LISTED],
        as_of=words.text(rows[0]["last_date"]),
        chart=_models_chart(priced, answer) if priced else None,
        note="30 days up to the newest with usage, be they of one month or two: a model can cost "
        "more than the month so far. Reported is what the agent's vendor estimates.",
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
    signals = rows[0].get("silent_signals") or len(rows)
    listed = (
        f" The {words.count(len(rows), 'signal')} seen last are listed."
        if signals > len(rows)
        else ""
    )
    return Figure(
        key="silent",
        title="Who has fallen silent",
        answer=(
            f"{words.count(rows[0]['silent_senders'], 'sender sends', 'senders send')} no more "
            f"what came before: was telemetry turned off?{listed}"
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
