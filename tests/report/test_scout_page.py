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
