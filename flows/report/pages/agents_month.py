"""What the month of the coding agents costs, and whether its budget holds."""

from datetime import date

from flows._shared.budgets import Budget
from flows.report import charts, words
from flows.report.records import Column, DomainData, Figure, Row

DEVELOPERS = "rpt_agents_developers"
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
UNTOLD = " where no telemetry tells how long prompts were or for how long a cache was kept"
PASSED = {"over"}
A_CENT = 0.01


def everybody(data: DomainData) -> Row | None:
    return next((row for row in data.rows(DEVELOPERS) if row["developer_id"] == "all"), None)


def headline(data: DomainData, today: date) -> str:
    total = everybody(data)
    if total is None or words.finite(total["month_to_date_cost_usd"]) is None:
        return "No cost is known yet"
    if is_over(total, today):
        return _cost(total)
    if words.finite(total["forecast_cost_usd"]) is None:
        return f"{total['month_start']:%B %Y} has cost {_so_far(total)}"
    told = f"{total['month_start']:%B %Y} will cost {_expected(total)}"
    if words.finite(total["monthly_budget_usd"]) is None:
        return f"{told}; there is no budget"
    return f"{told}; budget {words.money(total['monthly_budget_usd'])}: {_verdict(total)}"


def _cost(row: Row, untold: str = "") -> str:
    """What a month that is over cost, as far as is known.

    Args:
        untold: why it may have cost more.
    """
    cost = words.money(row["month_to_date_cost_usd"])
    upto = f" up to {words.text(row['as_of_date'])}, the last known day" if row["days_left"] else ""
    told = f"{row['month_start']:%B %Y} cost {cost}{upto}"
    if row["days_left"] and words.finite(row["forecast_cost_usd"]) is not None:
        told += f", and was expected to cost {_expected(row, untold)}"
    if words.finite(row["monthly_budget_usd"]) is None:
        return f"{told}; there was no budget"
    if row["budget_status"] in PASSED:
        held = "it was passed"
    elif row["unpriced_tokens"]:
        held = "whether it held is not known, as tokens have no price"
    elif _may_be_passed(row):
        # By how much more includes the days that are not known.
        more = "more" if row["days_left"] else _more(row)
        held = f"whether it held is not known, as it may have cost {more}{untold}"
    else:
        held = "it was not passed by then" if row["days_left"] else "it held"
    return f"{told}; budget {words.money(row['monthly_budget_usd'])}: {held}"


def _verdict(row: Row) -> str:
    status = words.text(row["budget_status"])
    is_unpriced = status == "unknown" and row["unpriced_tokens"]
    if status == "may be over":
        return "it may be passed"
    return UNPRICED if is_unpriced else STATUS.get(status, status)


def _interval(row: Row) -> str:
    return f"{words.money(row['forecast_low_usd'])} to {words.money(row['forecast_high_usd'])}"


def _expected(row: Row, untold: str = "") -> str:
    """The sum with its interval, and of what where it is not of everything."""
    cost = words.money(row["forecast_cost_usd"])
    return f"{cost} ({_interval(row)}){_of_priced(row)}{_or(row, untold)}"


def _of_priced(row: Row) -> str:
    return " for tokens with a price" if row["unpriced_tokens"] else ""


def _or(row: Row, untold: str = "") -> str:
    return f", or {_more(row)}{untold}" if _may_cost_more(row) >= A_CENT else ""


def _more(row: Row) -> str:
    return f"up to {words.money(_may_cost_more(row))} more"


def _may_cost_more(row: Row) -> float:
    return words.finite(row["may_cost_more_usd"]) or 0.0


def _may_be_passed(row: Row) -> bool:
    """Of a month that is over: whether its budget holds rests on what nothing tells."""
    budget, cost = (
        words.finite(row["monthly_budget_usd"]),
        words.finite(row["month_to_date_cost_usd"]),
    )
    return budget is not None and (cost or 0.0) + _may_cost_more(row) > budget


def _so_far(row: Row) -> str:
    cost = words.money(row["month_to_date_cost_usd"])
    return f"{cost} so far; what it will cost shows after a whole day"


def is_over(row: Row, today: date) -> bool:
    """Whether the month of the last known day is, as that of a source that stands still."""
    first: date = row["month_start"]
    return (today.year, today.month) > (first.year, first.month)


def with_status(row: Row, today: date) -> Row:
    """The row with the verdict that its budget has today."""
    limit = words.finite(row["monthly_budget_usd"])
    if limit is None:
        return row
    budget = Budget(
        name=words.text(row["developer"]),
        month=f"{row['month_start']:%Y-%m}",
        spent_usd=words.finite(row["month_to_date_cost_usd"]) or 0.0,
        projected_usd=words.finite(row["forecast_cost_usd"]),
        budget_usd=limit,
        status=row["budget_status"],
        is_whole=not (row["days_left"] or row["unpriced_tokens"] or _may_be_passed(row)),
    )
    return {**row, "budget_status": budget.seen_in(f"{today:%Y-%m}").state}


def month_figure(data: DomainData, today: date) -> Figure:
    total = everybody(data)
    rows = [with_status(total, today)] if total else []
    answer = "No cost is known yet."
    drawn: list[Row] = []
    if total and words.finite(total["month_to_date_cost_usd"]) is not None:
        answer = f"{_so_far(total)}."
    if total and words.finite(total["forecast_cost_usd"]) is not None:
        answer = (
            f"{words.money(total['month_to_date_cost_usd'])} up to "
            f"{words.text(total['as_of_date'])}; the whole month is expected at "
            f"{words.money(total['forecast_cost_usd'])} ({_interval(total)}, to hold four of five "
            f"months){_of_priced(total)}{_or(total, UNTOLD)}"
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
    if total and is_over(total, today):
        answer = f"{_cost(total, UNTOLD)}."
    return Figure(
        key="month",
        title="What the month costs",
        answer=answer,
        source=data.extracts[DEVELOPERS],
        columns=(
            Column("month_start", "Month", "date"),
            Column("month_to_date_cost_usd", "So far", "money"),
            Column("forecast_low_usd", "Expected from", "money"),
            Column("forecast_cost_usd", "Expected", "money"),
            Column("forecast_high_usd", "to", "money"),
            Column("may_cost_more_usd", "Or more by", "money"),
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
        "is missing, the status of the budget is unknown unless what is known is too much. It may "
        "cost more where nothing tells how long prompts were, or for how long a cache is kept. "
        + UNPRICED_NOTE,
    )
