"""Scout's page where a month or a week has little or nothing."""

from datetime import date, timedelta
from typing import Any

import pytest

from flows.report import charts
from flows.report.pages.scout import page
from flows.report.words import SPACE
from tests.report.shown import page_of
from tests.report.test_sentences import made

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
IS_OVER = {"currency": "PHP", "is_complete_month": True, "total_amount": 150}
JUDGED = {"week": date(2026, 11, 23), "is_complete_week": True, "band_low": 3}


def bought(month: date, *categories: str, **given: Any) -> list[dict[str, Any]]:
    return [{**IS_OVER, "month": month, "category": each, **given} for each in categories]


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ("d", "3 of 4 categories of October 2026 have no PHP transaction in November"),
        ("new", "4 of 4 categories of October 2026 have no PHP transaction in November"),
        ("cd", "no category is abnormal"),
    ],
)
def test_a_month_that_lacks_most_categories_is_not_called_normal(left: str, told: str) -> None:
    kept = [left] if left == "new" else list(left)
    elsewhere = bought(NOVEMBER, "a", "b", "c", currency="USD")[:1]
    months = [*bought(OCTOBER, *"abcd"), *bought(NOVEMBER, *kept), *elsewhere]
    shown = page_of(made("scout", rpt_scout_months=months, rpt_scout_weeks=[JUDGED]))
    assert shown.headline.replace(SPACE, " ").endswith(f"); {told}")
    is_told = "no PHP transaction" in shown.parts["last-month"].text
    assert is_told == (told != "no category is abnormal")
    odd = {**JUDGED, "is_anomaly": True, "category": "odd"}
    both = page_of(made("scout", rpt_scout_months=months, rpt_scout_weeks=[JUDGED, odd]))
    assert "odd is abnormal" in both.headline
    assert ("no PHP transaction" in both.headline) == is_told


def test_the_currency_is_that_of_the_last_month_and_another_before_it_is_told() -> None:
    months = [
        *bought(date(2026, 3, 1), *"abcd", currency="EUR", transaction_count=99),
        *bought(OCTOBER, *"abc", currency="USD"),
        *bought(NOVEMBER, "a", currency="JPY"),
        *bought(date(2026, 12, 1), "a", "b", currency="EUR", is_complete_month=False),
    ]
    shown = page_of(made("scout", rpt_scout_months=months, rpt_scout_weeks=[JUDGED]))
    assert shown.headline.startswith("JPY 150 in November 2026, the largest part a")
    assert shown.headline.endswith("; most transactions of October 2026 were in USD")
    assert "The last complete month" in shown.parts["last-month"].text
    assert "most transactions of October 2026 were in USD" in shown.parts["last-month"].text


@pytest.mark.parametrize(
    ("october", "november", "told"),
    [
        ({"a": 9, "b": 100}, {"a": 18, "b": 150}, "b leads with 150; b (+50) changed most"),
        ({"a": 900, "b": 5}, {"b": 5}, "b leads with 5; a (-900, to nothing) changed most"),
        ({"a": 5, "b": 9}, {"a": 9, "b": 5, "c": 4}, "a (+4), b (-4) and c (+4) changed most"),
        ({"a": 7, "b": 7}, {"a": 7, "b": 7}, "a and b lead with 7 each; no category changed"),
        ({}, {"a": 7, "b": 7}, "a and b lead with 7 each."),
    ],
)
def test_what_changed_most_is_told_by_its_amount_and_of_all_that_share_a_place(
    october: dict[str, int], november: dict[str, int], told: str
) -> None:
    months = [
        row
        for month, amounts in ((OCTOBER, october), (NOVEMBER, november))
        for category, amount in amounts.items()
        for row in bought(month, category, total_amount=amount)
    ]
    shown = page_of(made("scout", rpt_scout_months=months))
    assert told in shown.parts["last-month"].text
    if november == {"a": 7, "b": 7}:
        assert "the largest parts a and b (50 % each)" in shown.headline.replace(SPACE, " ")


def test_a_week_that_goes_on_is_told_as_such_and_not_drawn() -> None:
    weeks = [
        {"week": date(2026, 11, 30), "sound_share": 1.0, "payloads": 1, "is_complete_week": False},
        {"week": date(2026, 11, 23), "sound_share": 0.5, "payloads": 8, "is_complete_week": True},
    ]
    going_on = [{**JUDGED, "week": date(2026, 11, 30), "is_complete_week": False, "band_low": None}]
    month = bought(NOVEMBER, "some text", currency="some text", is_complete_month=False)
    for intake, told in (
        (weeks, "50.0 % of 8 payloads in the week of 2026-11-23 break no rule."),
        (weeks[:1], "100.0 % of 1 payload in the week of 2026-11-30 so far break no rule."),
    ):
        data = made(
            "scout", rpt_scout_months=month, rpt_scout_weeks=going_on, rpt_scout_intake=intake
        )
        figures = {each.key: each for each in page(data).figures}
        assert figures["intake"].answer.replace(SPACE, " ") == told
        assert len(figures["intake"].rows) == len(intake)
        assert (figures["intake"].chart is None) == (len(intake) == 1)
        assert figures["weeks-1"].answer.endswith(" in the week of 2026-11-30 so far.")
        assert figures["weeks-1"].chart is None


@pytest.mark.parametrize(
    ("silent", "told"),
    [
        ({"a": "USD"}, "1 category has fallen silent in USD"),
        ({"a": "PHP USD"}, "1 category has fallen silent"),
        (
            {"a": "USD", "b": "PHP"},
            "1 category has fallen silent; 1 category has fallen silent in USD",
        ),
    ],
)
def test_what_is_of_one_currency_alone_is_told_with_it(silent: dict[str, str], told: str) -> None:
    both = [{**JUDGED, "category": "a", "currency": each} for each in ("PHP", "USD")]
    gone = [
        {**JUDGED, "week": date(2026, 9, 7), "category": category, "currency": currency}
        | {"is_silent": True}
        for category, currencies in silent.items()
        for currency in currencies.split()
    ]
    odd = {**both[1], "is_anomaly": True}
    shown = page_of(made("scout", rpt_scout_months=[{}], rpt_scout_weeks=[*both, *gone, odd]))
    assert shown.headline.endswith(f"; a (USD) is abnormal; {told}")


def test_a_month_that_goes_on_and_one_with_none_before_it_lack_nothing() -> None:
    for months in (
        bought(NOVEMBER, "d"),
        [*bought(OCTOBER, *"abcd"), *bought(NOVEMBER, "d", is_complete_month=False)],
    ):
        shown = page_of(made("scout", rpt_scout_months=months, rpt_scout_weeks=[JUDGED]))
        assert shown.headline.endswith("; no category is abnormal")


def test_weeks_without_transactions_are_gaps_and_a_week_that_goes_on_is_not_drawn() -> None:
    monday = date(2026, 9, 7)
    weeks = [
        {
            **JUDGED,
            "week": monday + timedelta(weeks=at),
            "currency": "PHP",
            "category": "d",
            "is_complete_week": at < 12,
        }
        for at in (0, 1, 2, 6, 7, 12)
    ]
    data = made("scout", rpt_scout_months=bought(NOVEMBER, "d"), rpt_scout_weeks=weeks)
    (figure,) = (each for each in page(data).figures if each.key == "weeks-1")
    assert figure.chart is not None
    drawn = figure.chart.spec["data"]["values"]
    assert [each["day"] for each in drawn] == [str(each["week"]) for each in weeks[:-1]]
    assert len(figure.rows) == len(weeks)
    paths = _paths(charts.svg(figure.chart, 720, "a"))
    assert [paths.count(kind) for kind in ("area", "line")] == [2, 4]


def test_a_band_is_not_drawn_over_days_without_one() -> None:
    day = date(2026, 11, 1)
    rows = [
        {"day": day + timedelta(at), "value": 5, "low": low, "high": 6}
        for at, low in enumerate((4, 4, None, 4, 4))
    ]
    paths = _paths(charts.svg(charts.band(rows, "day", "value", "low", "high", "", ""), 720, "a"))
    assert [paths.count(kind) for kind in ("area", "line")] == [2, 1]


def _paths(drawn: str) -> list[str]:
    """The kinds of lines and areas of a drawing, one for each that stands apart."""
    found = []
    for kind in ("area", "line"):
        for group in drawn.split(f'class="mark-{kind} ')[1:]:
            shapes = group.split("</g>")[0].split(' d="')[1:]
            found += [kind] * sum(shape.split('"')[0].count("M") for shape in shapes)
    return found
