"""What pages say where a short sentence would say too much."""

from datetime import date, timedelta
from typing import Any

import pytest

from flows._shared.answers import cause_of
from flows.report import charts, pages, words
from flows.report.pages import ledgermind
from flows.report.records import DOMAINS, DomainData
from tests.report.shown import NOW, Shown, files_of, page_of
from tests.report.test_site import TABLES_OF, known

TODAY = NOW.date()


def made(slug: str, **models: list[dict[str, Any]]) -> DomainData:
    """A domain of rows by model, made up but for what is given."""
    contracts = {each.model: each for each in TABLES_OF[slug]}
    return known(
        slug,
        {model: [contracts[model].row(**row) for row in rows] for model, rows in models.items()},
    )


@pytest.mark.parametrize(
    ("share", "digits", "told"),
    [
        (0.9951, 0, "99.5"),
        (0.9996, 1, "99.96"),
        (0.99999, 0, "> 99.99"),
        (0.004, 0, "0.4"),
        (0.00001, 1, "< 0.01"),
        (1, 0, "100"),
        (0.1 + 0.2 + 0.7 - 1e-16, 0, "100"),
        (0, 1, "0.0"),
        (1.004, 0, "100"),
        (0.42, 0, "42"),
    ],
)
def test_only_all_is_all_and_only_nothing_is_nothing(share: float, digits: int, told: str) -> None:
    assert words.percent(share, digits).replace(words.SPACE, " ") == f"{told} %"


def test_who_made_nearly_everything_is_told_by_how_much() -> None:
    data = made(
        "github_scraper",
        rpt_github_leaderboard=[{"commits": 199, "share_of_commits": 0.995, "display_name": "Ann"}],
        rpt_github_concentration=[{"bus_factor": 1, "people": 2, "commits": 200}],
    )
    assert page_of(data).headline.replace(words.SPACE, " ") == (
        "Ann leads with 99.5 % of all commits; one person made 99.5 % of what people committed: "
        "a risk"
    )


def test_of_one_committer_one_sentence_is_told_and_nothing_is_compared() -> None:
    windows = ("trailing_30d", "trailing_90d", "all_time")
    ann = {"display_name": "Ann", "commits": 40, "share_of_commits": 1.0}
    data = made(
        "github_scraper",
        rpt_github_leaderboard=[{**ann, "time_window": window} for window in windows],
        rpt_github_concentration=[{"bus_factor": 1, "people": 1, "commits": 40}],
        rpt_github_repositories=[{"gini_coefficient": 0.0, "human_contributors": 1}, {}],
    )
    shown = page_of(data)
    assert list(shown.parts) == ["", "leaders-all-time", "repositories"]
    told = shown.parts["leaders-all-time"]
    assert (
        "Ann alone made all that people committed, 40 commits (100.0 % of all, agents and bots "
        "included): a risk, for nobody else knows the work." in told.text
    )
    assert [row["Window"] for row in told.records()] == ["30 days", "90 days", "all time"]
    assert "chart" not in {given.get("class") for _, given in shown.tags}
    assert [row["Gini"] for row in shown.parts["repositories"].records()] == ["0", "0.50"]
    # Of one window in which only one of several committed.
    board = [{**ann, "time_window": "trailing_30d"}, ann, {**ann, "place": 2}]
    both = page_of(made("github_scraper", rpt_github_leaderboard=board))
    assert "Ann is the only person who committed, with 40 commits" in (
        both.parts["leaders-trailing-30d"].text
    )
    drawn = [given.get("class") for _, given in both.tags].count("chart")
    assert drawn == 1, "of all time, where there are two"


def test_who_leads_together_is_told_together() -> None:
    """Thirteen people have three commits each, of whom the board lists two; one has two."""
    tied = {"commits": 3, "share_of_commits": 0.03, "sharing_rank": 13, "rank_in_kind": 1}
    board = [
        {**tied, "time_window": window, "place": place, "display_name": name}
        for window in ("trailing_30d", "all_time")
        for place, name in enumerate(("P3", "P5"), start=1)
    ] + [{"place": 3, "rank_in_kind": 14, "commits": 2}]
    data = made(
        "github_scraper",
        rpt_github_leaderboard=board,
        rpt_github_concentration=[{"bus_factor": 7, "people": 14, "commits": 41}],
        rpt_github_commit_types=[
            {"commit_type": kind, "commits": commits}
            for kind, commits in (("other", 40), ("fix", 20), ("feat", 20))
        ],
        rpt_github_hours=[{"day_of_week": 1, "hour_of_day": at, "commits": 20} for at in (7, 9)],
        rpt_github_repositories=[{"repository": name, "total_commits": 9} for name in "ab"],
    )
    shown = page_of(data)
    assert shown.headline.startswith("P3, P5 and 11 more lead with 3 % of all commits each; ")
    for key, told in (
        ("leaders-all-time", "P3, P5 and 11 more lead among people with 3 commits each (3.0 % of "),
        ("commit-types", "fix and feat are the most common types (25.0 % each of 80 in twelve "),
        ("commit-types", "40 name no type; "),
        (
            "hours",
            "busiest hours are Monday at 07 h and Monday at 09 h, UTC, with 20 commits each ",
        ),
        ("repositories", "a and b have the most commits (9 ever each)"),
    ):
        assert told in shown.parts[key].text


def test_what_programs_commit_in_a_week_is_not_called_that_of_people() -> None:
    counts = {"commits": 12, "agent_commits": 3, "bot_commits": 1, "active_people": 2}
    week = {"is_complete_week": True, "commit_week": date(2026, 11, 16), **counts}
    shown = page_of(made("github_scraper", rpt_github_weekly=[week]))
    assert (
        "8 commits by 2 people and 4 by agents and bots in the week of 2026-11-16, the last "
        "complete one; " in shown.parts["weekly"].text
    )


def test_repositories_are_counted_behind_the_listed_ones_and_called_what_they_are() -> None:
    alone = {"bus_factor": 1, "commits_90d": 1}
    rows = [{**alone, "commit_rank": at, "repository": f"r{at}"} for at in range(1, 61)]
    rows[1]["retired_at"] = rows[2]["retired_at"] = rows[3]["paused_at"] = NOW
    rows[4]["commits_90d"] = 0
    rows[59]["is_shallow"] = True
    of_now = [{"retired_at": None, "paused_at": None, **row} for row in rows]
    shown = page_of(made("github_scraper", rpt_github_repositories=of_now))
    told = shown.parts[""].text
    assert "56 of 56 repositories with commits in 90 days rest on one person each: r1, r6" in told
    assert "Of 1 repository only a part of the history was collected" in told
    part = shown.parts["repositories"]
    assert (
        "60 of 60 repositories have a bus factor of 1; 1 is paused and 2 retired. The first 50 "
        "are listed." in part.text
    )
    states = ["active", "retired", "retired", "paused", "quiet", "active"]
    assert [row["State"] for row in part.records()][:6] == states
    assert len(part.records()) == 50


def test_the_age_of_a_day_is_told_in_days() -> None:
    data = {
        slug: made(slug, **{model: [{column: TODAY - timedelta(age)}]})
        for slug, model, column, age in (
            ("github_scraper", "rpt_github_repositories", "last_commit_date", 0),
            ("scout", "rpt_scout_months", "newest_transaction_date", 1),
            ("agent_analytics", "rpt_agents_daily", "date", 9),
        )
    }
    part = Shown(files_of(data)["operations.html"].decode()).parts["freshness"]
    ages = {row["Domain"]: row["How old"].split("2026")[0].strip() for row in part.records()}
    assert ages == {
        DOMAINS["github_scraper"]: "today",
        DOMAINS["scout"]: "1 day ago",
        DOMAINS["agent_analytics"]: "9 days ago",
        DOMAINS["ledgermind"]: words.ABSENT,
        DOMAINS["quality_compass"]: words.ABSENT,
    }
    assert "2026-11-19, 9 days ago." in part.text


def test_weeks_without_transactions_are_told() -> None:
    """Sales up to the week of 26 October; the four weeks up to that of 23 November had none."""
    week = {"is_complete_week": True, "first_unfinished_week": date(2026, 11, 30)}
    weeks = [{**week, "week": date(2026, 10, day), "is_anomaly": False} for day in (19, 26)]
    shown = page_of(made("scout", rpt_scout_weeks=weeks))
    assert (
        "0 in the 4 up to that of 2026-10-26, the newest with transactions; 4 weeks since without "
        "any." in shown.parts["anomalies"].text
    )
    both = made("scout", rpt_scout_months=[{}], rpt_scout_weeks=weeks)
    assert page_of(both).headline.endswith("; the last 4 complete weeks have no transaction")
    again = {**week, "week": date(2026, 11, 23), "is_anomaly": True, "total_amount": 150}
    shown = page_of(made("scout", rpt_scout_weeks=[*weeks, again]))
    assert "in the week of 2026-11-23, outside of 12 to 12, after 3 weeks without any" in (
        shown.parts[""].text
    )
    assert "1 in the 4 up to that of 2026-11-23." in shown.parts["anomalies"].text
    alone = {**weeks[0], "is_silent": True, "silent_weeks": 3}
    assert "has had nothing since the week of 2026-10-19, others in 3 weeks" in (
        page_of(made("scout", rpt_scout_weeks=[alone, again])).parts[""].text
    )


@pytest.mark.parametrize(
    ("slug", "model", "column", "flag", "key"),
    [
        ("github_scraper", "rpt_github_weekly", "commit_week", "is_complete_week", "weekly"),
        ("ledgermind", "rpt_ledgermind_daily", "created_date", "is_complete_day", "daily"),
        ("scout", "rpt_scout_months", "month", "is_complete_month", "months"),
        ("agent_analytics", "rpt_agents_daily", "date", "is_complete_day", "daily"),
    ],
)
def test_what_is_not_over_is_in_the_table_and_in_no_picture(
    slug: str, model: str, column: str, flag: str, key: str
) -> None:
    first = {column: date(2026, 9, 1), flag: True, "accept_rate": 0.5}
    rows = [first, {**first, column: date(2026, 10, 1)}]
    rows.append({**first, column: date(2026, 11, 1), flag: False})
    page = pages.page_of(made(slug, **{model: rows}), TODAY)
    (figure,) = (each for each in page.figures if each.key == key)
    assert figure.chart
    drawn = str(figure.chart.spec)
    assert "2026-10-01" in drawn
    assert "2026-11-01" not in drawn
    assert len(figure.rows) == 3


def test_a_day_that_nobody_judged_is_not_called_usual() -> None:
    days = [
        (None, None, words.ABSENT),
        (False, None, "no"),
        (None, True, "yes"),
        (False, False, "no"),
    ]
    rows = [
        {
            "created_date": date(2026, 11, 20 + at),
            "is_events_anomaly": events,
            "is_accept_rate_anomaly": rate,
        }
        for at, (events, rate, _) in enumerate(days)
    ]
    part = page_of(made("ledgermind", rpt_ledgermind_daily=rows)).parts["daily"]
    assert [row["Unusual"] for row in part.records()[::-1]] == [told for *_, told in days]
    assert "1 unusual day of 3 that were judged." in part.text
    alone = page_of(made("ledgermind", rpt_ledgermind_daily=rows[:1])).parts["daily"]
    assert "whether a day is unusual was not judged." in alone.text


def test_the_unusual_numbers_of_days_are_marked_where_they_happened() -> None:
    rows = [
        {"created_date": date(2026, 11, 20 + at), "events": events, "expected_events": 100}
        | {"is_events_anomaly": events == 7, "is_accept_rate_anomaly": events == 99}
        | {"is_complete_day": True}
        for at, events in enumerate([100, 7, 99, 101])
    ]
    data = made("ledgermind", rpt_ledgermind_daily=rows)
    (figure,) = [each for each in ledgermind.page(data).figures if each.key == "counts"]
    assert figure.chart
    values = figure.chart.spec["data"]["values"]
    assert [each["day"] for each in values if each["flag"]] == ["2026-11-21"]
    part = page_of(data).parts["counts"]
    assert [row["Unusual number"] for row in part.records()] == ["no", "no", "yes", "no"]
    assert "On 1 of 4 days that were judged the number of suggestions was unusual" in part.text
    assert "last on 2026-11-21: 7, expected 100." in part.text


def test_what_is_abnormal_and_how_much_fell_silent_is_told_of_weeks_long_gone() -> None:
    """Five categories abnormal in the week of 26 October, five silent before it, nothing since."""
    week = {"is_complete_week": True, "first_unfinished_week": date(2026, 11, 30)}
    abnormal = [
        {**week, "week": date(2026, 10, 26), "category": f"odd {at}", "is_anomaly": True}
        for at in range(5)
    ]
    silent = [
        {**week, "week": date(2026, 9, 7), "category": f"quiet {at}", "is_silent": True}
        for at in range(5)
    ]
    data = made("scout", rpt_scout_months=[{}], rpt_scout_weeks=[*abnormal, *silent])
    shown = page_of(data)
    assert shown.headline.endswith(
        "; odd 0, odd 1, odd 2 and 2 more are abnormal; 5 categories have fallen silent; "
        "the last 4 complete weeks have no transaction"
    )
    told = shown.parts[""].text
    assert "2 more amounts are abnormal in these 4 weeks, see the table" in told
    assert "2 more categories have had nothing, for longer" in told
    assert "quiet 2" in told
    assert "quiet 3" not in told


def test_people_of_one_name_are_told_apart_in_sentences_tables_and_pictures() -> None:
    board = [
        {"contributor_id": who, "place": who, "display_name": name, "commits": 9, "sharing_rank": 2}
        | {"rank_in_kind": 1, "rank_in_kind_before": 3, "share_of_commits": 0.5}
        for who, name in ((1, "Ann"), (2, "Ann"))
    ]
    shown = page_of(made("github_scraper", rpt_github_leaderboard=board))
    assert shown.headline.startswith("Ann (1) and Ann (2) lead with 50 % of all commits each")
    part = shown.parts["leaders-all-time"]
    assert "Ann (1) and Ann (2) climbed most" in part.text
    assert [row["Name"] for row in part.records()] == ["Ann (1)", "Ann (2)"]
    assert "Bars of commits, the first 2: Ann (1) 9; Ann (2) 9" in str(shown.tags)


@pytest.mark.parametrize(("many", "told"), [(1, "a"), (3, "a, b and c"), (4, "a, b, c and 1 more")])
def test_a_list_says_how_much_it_leaves_out(many: int, told: str) -> None:
    assert words.first("abcd"[:many], 3) == told


def test_what_is_not_listed_is_counted_and_what_is_listed_is_not_taken_for_all() -> None:
    """The engine that is asked most is not that of most verdicts."""
    days = [
        {"created_date": date(2026, 11, 20), "accepts": 10, "rejects": 30},
        {"created_date": date(2026, 10, 1), "accepts": 500, "rejects": 0},
    ]
    engines: list[dict[str, Any]] = [
        {"member": "a", "accepts": 10, "rejects": 0, "members": 21},
        {"member": "b"},
    ]
    shown = page_of(made("ledgermind", rpt_ledgermind_daily=days, rpt_ledgermind_groups=engines))
    assert shown.headline.startswith("25 % of the judged suggestions of 30 days")
    told = shown.parts["by-engine"].text
    assert "In 30 days, of the 2 with the most suggestions, a and b are accepted alike" in told
    assert "19 engines are not shown." in told


def test_of_suggestions_ties_are_ties_and_confidence_that_does_not_help_is_not_said_to() -> None:
    def told(dimension: str, rates: dict[str, float]) -> str:
        members = len(rates)
        rows: list[dict[str, Any]] = [
            {"dimension": dimension, "member": name, "accept_rate": rate, "members": members}
            for name, rate in rates.items()
        ]
        part = page_of(made("ledgermind", rpt_ledgermind_groups=rows)).parts[f"by-{dimension}"]
        return part.text

    assert "In 30 days a is accepted at 30.0 %." in told("tenant", {"a": 0.3})
    tied = {**dict.fromkeys("abcd", 0.9), "e": 0.2, "f": 0.2}
    assert "a, b, c and 1 more are accepted most (90.0 %), f and e least (20.0 %)." in told(
        "tenant", tied
    )
    one = told("confidence", {"75-100%": 0.5, "no candidate": 0.1})
    assert "with confidence" not in one
    assert "step of confidence" not in one
    equal = told("confidence", {"0-25%": 0.5, "75-100%": 0.5})
    assert "The rate does not rise with every step of confidence." in equal
    rising = told("confidence", {"0-25%": 0.4, "75-100%": 0.5, "invalid": 0.1})
    assert "The rate rises with confidence." in rising


def test_of_many_comparisons_the_decided_are_told_first_and_the_rest_is_counted() -> None:
    kinds = ["open", "too few verdicts", "not enough clusters", "open", "treatment is worse"]
    rows = [
        {"comparison": f"c{at}", "decision": kind, "difference": -0.1 * at}
        for at, kind in enumerate(kinds)
    ]
    part = page_of(made("ledgermind", rpt_ledgermind_comparisons=rows)).parts["comparisons"]
    assert part.texts[1].startswith("c4: must not replace the control")
    assert part.texts[1].endswith("1 more in the table.")
    assert [row["Comparison"] for row in part.records()] == ["c4", "c0", "c1", "c2", "c3"]


def test_an_unfinished_day_is_not_the_last_and_the_last_seven_days_are_days() -> None:
    day: dict[str, Any] = {"is_complete_day": True, "is_events_anomaly": False, "accept_rate": 0.5}
    nothing = {"events": 0, "accept_rate": None, "is_events_anomaly": True}
    days = [
        {**day, "created_date": date(2026, 11, 20), "is_events_anomaly": True},
        {**day, "created_date": date(2026, 11, 21), "is_events_anomaly": True},
        {**day, "created_date": date(2026, 11, 25)},
        {**day, "created_date": date(2026, 11, 26), **nothing},
        {**day, "created_date": date(2026, 11, 27), "is_complete_day": False, "accept_rate": 1.0},
    ]
    shown = page_of(made("ledgermind", rpt_ledgermind_daily=days))
    told = shown.parts["daily"].text
    assert "On 2026-11-25, the last finished day with verdicts, 50.0 % were accepted" in told
    attention = shown.parts[""].text
    assert "On 2026-11-20" not in attention
    assert "On 2026-11-21 the number of suggestions was unusual" in attention
    assert "On 2026-11-26 the number of suggestions was unusual: 0, expected 0" in attention
    today = page_of(made("ledgermind", rpt_ledgermind_daily=days[4:])).parts["daily"].text
    assert "No suggestion of a finished day has been judged yet; " in today


def test_days_in_a_row_without_suggestions_are_one_outage_with_one_cause() -> None:
    """It began more than a week ago; of its first day nobody could judge."""

    def told(last: int) -> tuple[str, ...]:
        usual = {"is_complete_day": True, "is_events_anomaly": False, "accept_rate": 0.5}
        gone = {**usual, "events": 0, "accept_rate": None, "is_events_anomaly": True}
        days = [{**usual, "created_date": date(2026, 5, day)} for day in (1, 2)]
        days += [
            {**gone, "created_date": date(2026, 5, day), "expected_events": 12}
            for day in range(3, last + 1)
        ]
        days[2] |= {"is_events_anomaly": None, "expected_events": None}
        data = made("ledgermind", rpt_ledgermind_daily=days)
        return pages.page_of(data, TODAY).attention

    (sentence,) = told(12)
    assert sentence == (
        "For 10 days from 2026-05-03 on no suggestion came: up to 2026-05-12, "
        "while 108 were expected"
    )
    assert told(3) == ()
    assert len({cause_of(each.partition(": ")[0]) for last in (4, 12) for each in told(last)}) == 1


def test_metrics_of_one_name_are_told_apart() -> None:
    cells = [
        {"metric_id": metric, "metric_name": "Fall Rate", "worst_severity_score": 90 - at}
        for at, metric in enumerate(("fallRate", "fall_rate"))
    ]
    data = made("quality_compass", rpt_quality_facilities=cells)
    shown = page_of(data)
    names = {f"Fall Rate ({metric})" for metric in ("fallRate", "fall_rate")}
    assert {row["Metric"] for row in shown.parts["severity"].records()} == names
    assert "Fall Rate (fallRate), severity 90" in shown.headline
    heat = charts.heat(
        [{**cell, "facility": "one"} for cell in cells],
        "metric_name",
        "facility",
        "worst_severity_score",
        (30, 50, 65, 80),
        "",
    )
    assert [each["across"] for each in heat.spec["data"]["values"]] == [
        "Fall Rate",
        "Fall Rate (2)",
    ]


def test_kinds_are_told_in_words() -> None:
    quality = made(
        "quality_compass",
        rpt_quality_facilities=[
            {
                "worst_signal_type": "critical_trajectory",
                "metric_id": "los_avg",
                "metric_name": "Length of stay",
            }
        ],
        rpt_quality_changes=[
            {
                "signal_type": "volatility_alert",
                "previous_signal_type": "chronic_underperformer",
                "metric_id": metric,
            }
            for metric in ("los_avg", "bed_days")
        ],
    )
    reasons = [{"rejection_reason": each} for each in ("superseded", "missing_vendor", "bad_day")]
    scout = made("scout", rpt_scout_rejections=reasons)
    ledgermind = made("ledgermind", rpt_ledgermind_rejected=[{"reason": "no_such_event"}])
    agents = made(
        "agent_analytics",
        rpt_agents_daily=[{"agent_type": "claude_code", "agent": "Claude Code"}],
        rpt_agents_models=[{"agent_type": "claude_code"}, {"agent_type": "other_agent"}],
        rpt_agents_silent=[{"agent_type": "claude_code"}],
    )
    files = files_of({each.slug: each for each in (quality, scout, ledgermind, agents)})
    shown = {path: content.decode() for path, content in files.items() if path.endswith(".html")}
    for code in (
        "critical_trajectory",
        "volatility_alert",
        "chronic_underperformer",
        "los_avg",
        "bed_days",
        "missing_vendor",
        "no_such_event",
        "claude_code",
        "other_agent",
    ):
        assert not [path for path, html in shown.items() if code in html], code
    assert "most often bad day and missing vendor" in shown["index.html"]
    told = Shown(shown["scout.html"]).parts["rejections"].text
    assert "most often bad day and missing vendor (7 each)" in told
    changes = Shown(shown["quality_compass.html"]).parts["changes"].records()
    assert [row["Metric"] for row in changes] == ["Length of stay", "bed days"]
    by_model = Shown(shown["agent_analytics.html"]).parts["models"].records()
    assert [row["Agent"] for row in by_model] == ["Claude Code", "other agent"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (" ".join(["word"] * 80), " ".join(["word"] * 59) + " …"),
        ("x" * 400, "x" * 299 + " …"),
        ("short", "short"),
    ],
)
def test_a_text_is_cut_at_a_word(text: str, told: str) -> None:
    assert words.text(text) == told


def test_one_week_is_no_area_along_time() -> None:
    row = {"week": date(2026, 11, 23), "accepted": 3, "rejected": 1}
    one, two = (
        charts.columns(rows, "week", {"accepted": "a", "rejected": "r"}, "", "", days=7).spec
        for rows in ([row], [row, {**row, "week": date(2026, 11, 16)}])
    )
    assert (one["mark"]["type"], one["encoding"]["x"]["type"]) == ("bar", "nominal")
    assert {each["label"] for each in one["data"]["values"]} == {"23 Nov"}
    assert two["encoding"]["x"]["type"] == "temporal"


def test_tokens_without_a_price_are_told_with_their_days_and_what_they_count() -> None:
    models = [{"model_name": "a-model", "unpriced_tokens": 9, "total_tokens": 4}]
    shown = page_of(
        made(
            "agent_analytics",
            rpt_agents_developers=[{}, {"developer_id": "ann"}],
            rpt_agents_models=models,
        )
    )
    assert "1 model has tokens without a price in 30 days: a-model" in shown.parts[""].text
    assert "9 tokens of 30 days, cache reads among them, have no price" in (
        shown.parts["models"].text
    )
    assert {"Tokens but cache reads", "Without a price, cache reads too"} <= {
        *shown.parts["models"].titles
    }
    for key in ("month", "developers"):
        part = shown.parts[key]
        assert "Tokens without a price, month and forecast's days" in part.titles
        assert "of the days, also of the month before, that the forecast is drawn from" in part.text


def test_categories_and_reasons_of_one_size_are_told_together() -> None:
    scout = made(
        "scout",
        rpt_scout_months=[
            {"category": name, "total_amount": 40, "is_complete_month": True, "currency": "EUR"}
            for name in ("tea", "ink")
        ],
        rpt_scout_rejections=[
            {"rejection_reason": name, "payloads": 3, "share_of_judged": 0.1}
            for name in ("missing_vendor", "bad_date")
        ],
    )
    files = files_of({"scout": scout})
    shown, operations = (Shown(files[f"{it}.html"].decode()) for it in ("scout", "operations"))
    assert "the largest parts ink and tea (50 % each); " in shown.headline
    assert "ink and tea lead with 40 each" in shown.parts["last-month"].text
    assert "20.0 % of the payloads break a rule, most often bad date and missing vendor" in (
        shown.parts[""].text
    )
    assert "most often bad date and missing vendor (3 each)." in shown.parts["rejections"].text
    assert "most often missing vendor in Scout and bad date in Scout (3 each)." in (
        operations.parts["rejected"].text
    )


def test_developers_and_models_are_counted_behind_the_listed_ones() -> None:
    """The sixtieth has passed its budget, or has no price; the first two cost as much."""
    costs = [80, 80, *range(70, 12, -1)]
    people = [
        {"developer_id": f"d{at}", "place": at, "developer": f"D{at}", "budget_status": "within"}
        | {"month_to_date_cost_usd": cost, "monthly_budget_usd": 90}
        for at, cost in enumerate(costs, start=1)
    ]
    people[59]["budget_status"] = "over"
    models = [
        {"place": at, "model_name": f"m{at}", "cost_usd": cost, "unpriced_tokens": 0}
        for at, cost in enumerate(costs, start=1)
    ]
    models[59] |= {"cost_usd": None, "unpriced_tokens": 5}
    whole = {"developer_id": "all", "place": 0, "budget_status": "within"}
    shown = page_of(
        made("agent_analytics", rpt_agents_developers=[whole, *people], rpt_agents_models=models)
    )
    told = shown.parts[""].text
    assert "Budget: D60 (over" in told
    assert "1 model has tokens without a price in 30 days: m60" in told
    for key, said in (
        (
            "developers",
            "; D1 and D2 cost most, each: $80.00 of the month so far. The first 50 are listed.",
        ),
        (
            "models",
            "m1 and m2 cost most, each: $80.00 in the 30 days up to 2026-11-27; 5 tokens",
        ),
    ):
        assert said in shown.parts[key].text
        assert len(shown.parts[key].records()) == 50


@pytest.mark.parametrize(
    ("commits", "known", "told"),
    [
        (10, 1, "10 assisted commits in November 2026; of 1 the cost is known: $10.00;"),
        (10, 2, "10 assisted commits in November 2026; of 2 the cost is known: $10.00 each;"),
        (2, 2, "2 assisted commits in November 2026, $10.00 each;"),
        (1, 0, "1 assisted commit in November 2026; of none the cost is known;"),
        (0, 0, "0 assisted commits in November 2026;"),
    ],
)
def test_a_cost_per_commit_is_of_those_whose_cost_is_known(
    commits: int, known: int, told: str
) -> None:
    whole = {
        "month_start": date(2026, 11, 1),
        "assisted_commits": commits,
        "commits_with_cost": known,
        "cost_per_commit_usd": 10 if known else None,
    }
    data = made("agent_analytics", rpt_agents_developers=[whole, {"developer_id": "ann"}])
    part = page_of(data).parts["developers"]
    assert told in part.text
    assert "With a cost" in part.titles


def test_developers_of_one_name_or_alike_addresses_are_told_apart() -> None:
    names = {"ann1@a.example": "Anna", "ann2@a.example": "Anna", "bob@a.example": "Bob"}
    alone = [f"{name}@a.example" for name in ("kim", "kit")]
    people = [
        {"developer_id": address, "place": at, "developer": names.get(address, address)}
        | {"budget_status": "over" if at < 3 else "within"}
        for at, address in enumerate([*names, *alone], start=1)
    ]
    daily = [
        {"date": date(2026, 11, day), "cost_usd": cost, "total_tokens": tokens}
        | {"reported_cost_usd": None, "cache_read_tokens": None}
        for day, cost, tokens in ((1, 5, 9), (2, None, 4), (3, None, None))
    ]
    silent = [
        {"developer_id": "ann2@a.example", "silent_senders": 1, "silent_signals": 60, "place": at}
        for at in range(2)
    ]
    shown = page_of(
        made(
            "agent_analytics",
            rpt_agents_developers=[{"month_start": date(2026, 12, 1)}, *people],
            rpt_agents_daily=daily,
            rpt_agents_silent=silent,
        ).masked
    )
    assert "Budget: Anna (1) (over" in shown.parts[""].text
    assert "Anna (2) (over" in shown.parts[""].text
    assert [row["Developer"] for row in shown.parts["developers"].records()] == [
        "Anna (1)",
        "Anna (2)",
        "Bob",
        "k***@a.example (1)",
        "k***@a.example (2)",
    ]
    assert {row["Developer"] for row in shown.parts["silent"].records()} == {"Anna (2)"}
    assert "1 sender sends no more what came before" in shown.parts["silent"].text
    assert "The 2 signals seen last are listed." in shown.parts["silent"].text
    assert "$5.00 on 2 days up to 2026-11-02" in shown.parts["daily"].text


def test_a_week_with_too_few_before_it_is_not_called_normal() -> None:
    week = {"is_complete_week": True, "week": date(2026, 11, 23), "band_low": None}
    of_it = [week, {**week, "week": date(2026, 11, 16), "band_low": 3}]
    for weeks, told, abnormal in (
        (of_it[:1], "no category could be judged", ["–"]),
        (of_it, "no category is abnormal", ["–", "no"]),
    ):
        shown = page_of(made("scout", rpt_scout_months=[{}], rpt_scout_weeks=weeks))
        assert shown.headline.endswith(f"; {told}")
        assert [row["Abnormal"] for row in shown.parts["weeks-1"].records()] == abnormal
        assert f"0 abnormal amounts of {len(weeks) - 1} judged" in shown.parts["anomalies"].text
