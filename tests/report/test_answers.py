"""The answer that summaries and alerts begin with is the one of the page."""

from dataclasses import replace
from datetime import date
from xml.etree import ElementTree

import pytest

from flows._shared.answers import Answer
from flows.report import pages
from flows.report.answers import answer_of
from flows.report.pages import with_age
from flows.report.records import DOMAINS, DomainData, Extract
from flows.report.source import nothing
from tests.report.made_rows import contracts
from tests.report.shown import NOW, page_of


def made(slug: str, text: str = "some text") -> DomainData:
    rows = {each.model: each.row(text) for each in contracts(slug)}
    empty = nothing(slug)
    extracts = {
        name: replace(extract, rows=(rows[name],), is_built=True)
        for name, extract in empty.extracts.items()
    }
    return DomainData(slug, extracts)


@pytest.mark.parametrize("slug", DOMAINS)
def test_it_says_what_the_page_says(slug: str) -> None:
    data = made(slug)
    answer, shown = answer_of(data, NOW.date()), page_of(data)
    assert answer.headline.replace("\u00a0", " ") == shown.headline
    figures = [each for each in shown.parts.values() if each.texts[:1] == [answer.title]]
    assert answer.titles
    assert figures[0].titles[: len(answer.titles)] == list(answer.titles)
    told = [[cell.replace("\u00a0", " ") for cell in row] for row in answer.rows]
    assert [row[: len(answer.titles)] for row in figures[0].rows[: len(told)]] == told


@pytest.mark.parametrize("slug", DOMAINS)
def test_its_picture_stands_by_itself(slug: str) -> None:
    hostile = '<script>alert(1)</script>]]>&" var(--c1)'
    chart = answer_of(made(slug, hostile), NOW.date()).chart
    assert chart
    root = ElementTree.fromstring(chart)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "--c1: #2b6cb0" in chart
    assert "script" not in {each.tag.rpartition("}")[2] for each in root.iter()}
    assert "http" not in chart.replace("http://www.w3.org", "")
    assert len(chart) < 100_000


@pytest.mark.parametrize("slug", DOMAINS)
def test_a_domain_without_rows_says_what_to_do(slug: str) -> None:
    answer = answer_of(nothing(slug), NOW.date())
    assert isinstance(answer, Answer)
    assert "has not been built yet" in answer.headline
    assert answer.rows == ()
    assert answer.chart is None
    assert f"flows run {slug}" in " ".join(answer.advice)


def test_a_domain_that_could_not_be_read_says_so() -> None:
    data = nothing("scout", "Reading it did not work. Start it.")
    answer = answer_of(data, NOW.date())
    assert answer.headline == "Scout could not be read"
    assert "Start it." in " ".join(answer.advice)
    assert isinstance(next(iter(data.extracts.values())), Extract)


@pytest.mark.parametrize("slug", DOMAINS)
def test_figures_that_are_old_say_so(slug: str) -> None:
    """Those made up are of 27 November."""
    data = made(slug)
    page = pages.page_of(data, NOW.date())
    assert with_age(page, data, date(2026, 12, 31)).to_do == ()
    (told,) = with_age(page, data, date(2027, 1, 31)).to_do
    assert "2026-11-27, 65 days before this report" in told


@pytest.mark.parametrize(
    ("slug", "figure", "window"),
    [
        ("agent_analytics", "daily", " up to 2026-11-27"),
        ("agent_analytics", "developers", "in November 2026"),
        ("agent_analytics", "models", "in the 30 days up to 2026-11-27"),
        ("github_scraper", "concentration", "commits ever of"),
        ("github_scraper", "repositories", " ever)"),
        ("github_scraper", "commit-types", "in twelve months"),
        ("github_scraper", "hours", "In 52 weeks"),
        ("scout", "rejections", "ever judged"),
        ("ledgermind", "by-engine", "in 30 days"),
    ],
)
def test_a_figure_whose_window_is_not_that_of_its_page_says_it(
    slug: str, figure: str, window: str
) -> None:
    """Else a part seems to be more than the whole."""
    page = pages.page_of(made(slug), NOW.date())
    (answer,) = [each.answer for each in page.figures if each.key == figure]
    assert window.lower() in answer.lower()


def test_a_month_of_which_nothing_can_be_expected_yet_tells_what_it_cost() -> None:
    data = made("agent_analytics")
    developers = data.extracts["rpt_agents_developers"]
    first_day = {
        **developers.rows[0],
        "month_start": date(2026, 11, 1),
        "month_to_date_cost_usd": 12.3,
        **dict.fromkeys(("forecast_cost_usd", "forecast_high_usd")),
    }
    extracts = {**data.extracts, "rpt_agents_developers": replace(developers, rows=(first_day,))}
    assert page_of(replace(data, extracts=extracts)).headline.startswith(
        "November 2026 has cost $12.30 so far"
    )


def test_a_month_long_over_is_told_as_one() -> None:
    """The last known day is of February; the report is of November."""
    data = made("agent_analytics")
    developers = data.extracts["rpt_agents_developers"]

    def told(**given: object) -> str:
        row = {
            **developers.rows[0],
            "month_start": date(2026, 2, 1),
            "as_of_date": date(2026, 2, 20),
            "month_to_date_cost_usd": 12.3,
            "forecast_cost_usd": 20,
            "forecast_low_usd": 18.5,
            "forecast_high_usd": 21,
            "may_cost_more_usd": 0,
            "monthly_budget_usd": 50,
            "budget_status": "unknown",
            **given,
        }
        extracts = {**data.extracts, "rpt_agents_developers": replace(developers, rows=(row,))}
        shown = page_of(replace(data, extracts=extracts))
        assert "will" not in shown.headline + shown.parts["month"].text
        assert "assisted commits in February 2026" in shown.parts["developers"].text
        passed = "Budget: some text (over in February 2026)" in shown.parts[""].text
        assert passed == (row["budget_status"] == "over")
        assert "will" not in shown.parts[""].text
        assert shown.parts["month"].texts[0] == "What the month costs"
        untold = " more where no telemetry tells how long prompts were or for how long a cache"
        assert (untold in shown.parts["month"].text) == bool(row["may_cost_more_usd"])
        is_known = not row["days_left"] and not row["may_cost_more_usd"]
        status = "over" if passed else "within" if is_known else "unknown"
        assert shown.parts["month"].records()[0]["Status"] == status
        return shown.headline

    upto = (
        "February 2026 cost $12.30 up to 2026-02-20, the last known day, and was expected to cost "
        "$20.00 ($18.50 to $21.00){}; "
    )
    priced = upto.format(" for tokens with a price")
    assert told() == (
        f"{priced}budget $50.00: whether it held is not known, as tokens have no price"
    )
    not_expected = told(forecast_cost_usd=None, unpriced_tokens=0)
    assert not_expected.startswith(
        "February 2026 cost $12.30 up to 2026-02-20, the last known day;"
    )
    upto = upto.format("")
    assert told(unpriced_tokens=0) == f"{upto}budget $50.00: it was not passed by then"
    assert told(budget_status="will be over", unpriced_tokens=0) == told(unpriced_tokens=0)
    assert told(budget_status="over") == f"{priced}budget $50.00: it was passed"
    assert told(monthly_budget_usd=None, unpriced_tokens=0) == f"{upto}there was no budget"
    whole = told(days_left=0, as_of_date=date(2026, 2, 28), unpriced_tokens=0)
    assert whole == "February 2026 cost $12.30; budget $50.00: it held"
    more = told(days_left=0, as_of_date=date(2026, 2, 28), unpriced_tokens=0, may_cost_more_usd=40)
    unknown = "budget $50.00: whether it held is not known, as it may have cost"
    assert more == f"February 2026 cost $12.30; {unknown} up to $40.00 more"
    # With the days to come, of which nothing is in what it cost so far.
    beside = upto.replace("; ", ", or up to $40.00 more; ")
    assert told(unpriced_tokens=0, may_cost_more_usd=40) == f"{beside}{unknown} more"


def test_what_a_month_will_cost_is_a_sum_with_its_interval() -> None:
    data = made("agent_analytics")
    developers = data.extracts["rpt_agents_developers"]
    beside = ", or up to $7.50 more"
    untold = " where no telemetry tells how long prompts were or for how long a cache was kept"
    for unpriced, more, told in (
        (9, 0.0, " for tokens with a price"),
        (0, 0.0, ""),
        (0, 7.5, beside),
    ):
        row = {
            **developers.rows[0],
            "month_start": date(2026, 11, 1),
            "forecast_cost_usd": 294.22,
            "forecast_low_usd": 266.96,
            "forecast_high_usd": 321.47,
            "may_cost_more_usd": more,
            "monthly_budget_usd": None,
            "unpriced_tokens": unpriced,
        }
        extracts = {**data.extracts, "rpt_agents_developers": replace(developers, rows=(row,))}
        shown = page_of(replace(data, extracts=extracts))
        expected = f"November 2026 will cost $294.22 ($266.96 to $321.47){told}; there is no budget"
        assert shown.headline == expected
        answer = f"{told}{untold if more else ''}"
        assert f"to hold four of five months){answer}; there is" in shown.parts["month"].text
        assert shown.parts["month"].texts[0] == "What the month costs"
