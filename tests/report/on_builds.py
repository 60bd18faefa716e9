"""Numbers of the pages against queries of the marts, on what the tests of the marts have built."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.report import words
from flows.report.records import DomainData
from tests.report.shown import page_of

Query = Callable[[str], Sequence[tuple[Any, ...]]]


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def github_page_is_right(data: DomainData, query: Query) -> None:
    shown = page_of(data)
    leaders = query(
        """
        select contributors.id, count(distinct commits.commit_hash)
        from public.commits as commits
        inner join public.contributors as contributors on commits.contributor_id = contributors.id
        inner join analytics.dim_contributor as dim on contributors.id = dim.contributor_id
        where commits.orphaned_at is null and commits.source <> 'application'
            and dim.kind = 'person'
        group by 1 order by 2 desc
        """
    )
    rows = shown.parts["leaders-all-time"].records()
    assert [row["Commits"] for row in rows] == [
        words.number(commits) for _, commits in leaders[: len(rows)]
    ]
    counts = sorted(commits for _, commits in leaders)
    total, people = sum(counts), len(counts)
    half = next(n for n in range(1, people + 1) if 2 * sum(counts[-n:]) >= total)
    spread = sum(abs(a - b) for a in counts for b in counts) / (2 * people * total)
    told = shown.parts["concentration"].text
    assert f"(bus factor {half})" in told
    assert f"Gini coefficient {words.number(spread, 2)}" in told
    assert f"of all {words.number(total)} commits ever of {people} people" in told
    ((first_half,),) = [
        (row["Share of commits"],)
        for row in shown.parts["concentration"].records()
        if row["Share of people"] == "100.0 %"
    ]
    assert first_half == "100.0 %"
    ((in_weeks,),) = query(
        "select count(distinct commit_hash) from analytics.int_commits "
        "where is_date_plausible and commit_day <= (select max(as_of_date) from "
        "analytics.leaderboard) and commit_week >= date_trunc('week', (select max(as_of_date) "
        "from analytics.leaderboard))::date - 364"
    )
    weeks = shown.parts["weekly"].records()
    assert sum(int(row["Commits"].replace(",", "")) for row in weeks) == in_weeks
    hours: dict[tuple[int, int], int] = {
        (day, hour): commits
        for day, hour, commits in query(
            "select extract(isodow from moment)::int, extract(hour from moment)::int, count(*) "
            "from (select distinct on (commit_hash) commit_date at time zone 'UTC' as moment "
            "from analytics.int_commits where is_date_plausible and is_first_copy and commit_day "
            "between (select max(as_of_date) - 363 from analytics.leaderboard) "
            "and (select max(as_of_date) from analytics.leaderboard)) as made group by 1, 2"
        )
    }
    told_hours = shown.parts["hours"].records()
    assert [(row["Hour, UTC"], row["Commits"]) for row in told_hours] == [
        (words.number(hour), words.number(commits)) for (_, hour), commits in sorted(hours.items())
    ]
    types: dict[str, int] = dict(
        query(
            "select commit_type, count(distinct commit_hash) from analytics.int_commits where "
            "is_date_plausible and commit_month > date_trunc('month', (select max(as_of_date) "
            "from analytics.leaderboard)) - interval '12 months' and commit_day <= (select "
            "max(as_of_date) from analytics.leaderboard) group by 1"
        )
    )
    kinds = {row["Type"]: row["Commits"] for row in shown.parts["commit-types"].records()}
    assert kinds == {kind: words.number(commits) for kind, commits in types.items()}
    ((of_one, active, with_commits, paused, retired, bus_factor_1),) = query(
        "select count(*) filter (where is_active and bus_factor = 1), "
        "count(*) filter (where is_active), count(*), "
        "count(*) filter (where retired_at is null and paused_at is not null), "
        "count(*) filter (where retired_at is not null), count(*) filter (where bus_factor = 1) "
        "from (select *, commits_90d > 0 and retired_at is null and paused_at is null as is_active "
        "from analytics.repository_summary where total_commits > 0) as with_commits"
    )
    attention = shown.parts[""].text
    assert f"{of_one} of {active} repositories with commits in 90 days rest on one" in attention
    told = shown.parts["repositories"].text
    assert f"{bus_factor_1} of {with_commits} repositories have a bus factor of 1" in told
    assert f"{paused} are paused and {retired} retired" in told
    listed = shown.parts["repositories"].records()
    assert len(listed) == min(with_commits, 50)
    names = {row["Repository"] for row in listed}
    assert len(names) == len(listed)
    assert {"example.org/owner/1", "owner/2"} <= names
    assert {row["State"] for row in listed} >= {"retired", "active"}
    boards = {row["Repository"] for row in shown.parts["leaders-by-repository"].records()}
    # Of the ten with the most commits one has no commit of a person.
    assert len(boards) == 9
    merged = query(
        "select rule, count(*), count(distinct merged_into) from public.contributor_merges "
        "where ended_at is null and reverted_at is null group by rule order by rule"
    )
    assert [each[1:] for each in merged] == [(1, 1), (1, 1)]
    told = shown.parts["merges"].text
    assert "2 accounts or addresses are counted with 1 contributor: 1 as GitHub says" in told
    assert "1 as a person listed" in told
    assert [(row["What signs as"], row["Why"]) for row in shown.parts["merges"].records()] == [
        ("Also", "same person by hand"),
        ("Once", "same GitHub account"),
    ]


def ledgermind_page_is_right(data: DomainData, query: Query) -> None:
    shown = page_of(data)
    ((accepts, verdicts),) = query(
        """
        select sum(accepts)::bigint, sum(accepts + rejects)::bigint
        from analytics.mart_suggestions_feedback_daily
        where created_date > (select as_of_date - 30 from analytics.mart_suggestions_kpis_30d)
            and created_date <= (select as_of_date from analytics.mart_suggestions_kpis_30d)
        """
    )
    assert shown.headline.startswith(plain(words.percent(accepts / verdicts, 0)))
    days = query(
        "select created_date, sum(events)::bigint, sum(accepts)::bigint, sum(rejects)::bigint "
        "from analytics.mart_suggestions_feedback_daily where created_date <= (select as_of_date "
        "from analytics.mart_suggestions_kpis_30d) group by 1 order by 1 desc limit 5"
    )
    rows = shown.parts["daily"].records()
    assert [
        (row["Day"], row["Suggestions"], row["Accepted"], row["Rejected"]) for row in rows[:5]
    ] == [(str(day), *map(words.number, counts)) for day, *counts in days]
    for row in rows:
        if row["Accepted of judged"] != words.ABSENT:
            k, n = (int(row[name].replace(",", "")) for name in ("Accepted", "Rejected"))
            low, high = wilson(k, k + n)
            assert row["95 % from"] == plain(words.percent(low))
            assert row["to"] == plain(words.percent(high))
    judged: dict[str, bool] = dict(
        query(
            "select created_date::text, bool_or(is_anomaly) from "
            "analytics.mart_suggestions_anomalies where window_sigmas is not null group by 1"
        )
    )
    unusual = {row["Day"]: row["Unusual"] for row in rows}
    assert {day: words.text(judged.get(day)) for day in unusual} == unusual
    seen = {row["Day"]: row["Suggestions"] for row in shown.parts["counts"].records()}
    assert len(seen) == len(rows)
    assert {str(day): words.number(events) for day, events, *_ in days}.items() <= seen.items()
    engines: dict[str, int] = dict(
        query(
            "select coalesce(engine, 'not known'), sum(events)::bigint from "
            "analytics.int_suggestions_daily where created_date > (select as_of_date - 30 from "
            "analytics.mart_suggestions_kpis_30d) and created_date <= (select as_of_date from "
            "analytics.mart_suggestions_kpis_30d) group by 1"
        )
    )
    told = {row["Engine"]: row["Suggestions"] for row in shown.parts["by-engine"].records()}
    assert told == {engine: words.number(events) for engine, events in engines.items()}
    ((newest,),) = query("select as_of_date from analytics.mart_suggestions_kpis_30d")
    last = [row["last_date"] for row in data.rows("rpt_ledgermind_models") if row["last_date"]]
    assert max(last) == newest
    live = query(
        "select model_id from analytics.mart_model_comparison where phase = 'live' "
        "order by events desc, model_id"
    )
    assert (
        f"Live: {words.first([str(model) for (model,) in live], 3)}." in shown.parts["models"].text
    )
    ((tenants, back, everybody),) = query(
        """
        with weeks as (
            select distinct tenant_key, cast(date_trunc('week', created_date) as date) as week
            from analytics.mart_suggestions_tenant_daily where tenant_key <> 'unknown'
                and created_date <= (select as_of_date from analytics.mart_suggestions_kpis_30d)
        ),
        firsts as (select tenant_key, min(week) as week from weeks group by tenant_key),
        shown as (
            select * from firsts where week in
                (select distinct week from firsts order by week desc limit 12)
        ),
        later as (
            select * from shown where week + 13
                <= (select as_of_date from analytics.mart_suggestions_kpis_30d)
        )
        select count(*), count(weeks.week), (select count(*) from firsts)
        from later left join weeks
            on weeks.tenant_key = later.tenant_key and weeks.week = later.week + 7
        """
    )
    assert 0 < back < tenants
    stayed = shown.parts["cohorts"].text
    many = words.count(tenants, "tenant")
    assert f"{plain(words.percent(back / tenants))} of {many} came back" in stayed
    assert {row["all_tenants"] for row in data.rows("rpt_ledgermind_cohorts")} == {everybody}


def wilson(accepts: int, verdicts: int) -> tuple[float, float]:
    z = 1.959963984540054
    rate = accepts / verdicts
    middle = (rate + z * z / (2 * verdicts)) / (1 + z * z / verdicts)
    spread = rate * (1 - rate) / verdicts + z * z / (4 * verdicts * verdicts)
    half = z * float(spread) ** 0.5 / (1 + z * z / verdicts)
    return middle - half, middle + half


def scout_page_is_right(data: DomainData, query: Query) -> None:
    shown = page_of(data)
    months = query(
        "select month, category, currency, total_amount, transaction_count "
        "from gold.gold_monthly_summary order by month desc, category, currency"
    )
    newest = {str(row[0]) for row in months}
    rows = shown.parts["months"].records()
    kept = sorted(newest, reverse=True)[:13]
    assert {
        (row["Month"], row["Category"], row["Currency"], row["Amount"], row["Transactions"])
        for row in rows
    } == {
        (str(month), category, currency, words.number(amount, 2), words.number(count))
        for month, category, currency, amount, count in months
        if str(month) in kept
    }
    reasons: dict[str, int] = dict(
        query(
            "select rejection_reason, count(*) from silver.silver_rejected_transactions group by 1"
        )
    )
    told = {row["Reason"]: row["Payloads"] for row in shown.parts["rejections"].records()}
    assert told == {words.spoken(reason): words.number(count) for reason, count in reasons.items()}
    ((judged,),) = query(
        "select (select count(*) from silver.silver_validated_transactions) "
        "+ (select count(*) from silver.silver_rejected_transactions)"
    )
    broken = sum(count for reason, count in reasons.items() if reason != "superseded")
    most = sorted((n for reason, n in reasons.items() if reason != "superseded"), reverse=True)
    assert [
        row["Of rejected, cumulated"]
        for row in shown.parts["rejections"].records()
        if row["Reason"] != "superseded"
    ] == [plain(words.percent(sum(most[: at + 1]) / broken)) for at in range(len(most))]
    share = plain(words.percent(broken / judged))
    assert f"({share} of {words.number(judged)} ever judged)" in shown.parts["rejections"].text
    odd = query(
        "select week, category, currency from gold.gold_category_trends where is_anomaly and "
        "week > (select max(week) from gold.gold_category_trends) - 26 * 7"
    )
    assert {
        (row["Week of"], row["Category"], row["Currency"])
        for row in shown.parts["anomalies"].records()
    } == {(str(week), category, currency) for week, category, currency in odd}
    ((newest_day,),) = query(
        "select max(transaction_date) from silver.silver_validated_transactions "
        "where date_trunc('month', transaction_date) = "
        "(select max(month) from gold.gold_monthly_summary)"
    )
    assert {row["newest_transaction_date"] for row in data.rows("rpt_scout_months")} == {newest_day}
    told_weeks = {row["Week of"]: row["Complete"] for row in shown.parts["intake"].records()}
    assert told_weeks == {
        str(row["week"]): words.text(row["week"] + timedelta(days=7) <= datetime.now(UTC).date())
        for row in data.rows("rpt_scout_intake")
    }
    assert all(
        row["is_complete_week"] == (row["week"] < row["first_unfinished_week"])
        for row in data.rows("rpt_scout_weeks")
    )


def quality_page_is_right(data: DomainData, query: Query) -> None:
    shown = page_of(data)
    bad = "signals.is_favorable is distinct from true and signal_type <> 'suspect_data'"
    facilities = query(
        f"""
        select facility_id, max(severity_score), count(*),
            count(*) filter (where severity in ('Critical', 'High'))
        from analytics.fct_signals as signals
        where run_id = (select max(run_id) from analytics.fct_signals) and {bad}
        group by 1
        """
    )
    rows = shown.parts["facilities"].records()
    assert len(rows) == min(40, len(facilities))
    expected = {
        facility: (words.number(worst), words.number(count), words.number(actionable))
        for facility, worst, count, actionable in facilities
    }
    for row in rows:
        facility = row["Facility"].rpartition("(")[2].rstrip(")")
        score = row["Severity"].partition(" ")[0]
        assert (score, row["Signals"], row["Critical or high"]) == expected[facility]
    ((severe, pairs, labelled),) = query(
        f"""
        select count(distinct (facility_id, metric_id)) filter (where severity_score >= 80),
            count(distinct (facility_id, metric_id)),
            count(distinct facility_id) filter (where severity in ('Critical', 'High'))
        from analytics.fct_signals as signals
        where run_id = (select max(run_id) from analytics.fct_signals) and {bad}
        """
    )
    listed = words.count(len(facilities), "facility has", "facilities have")
    assert f"{listed} a signal that is not favourable" in shown.parts["facilities"].text
    assert f"{severe} of {pairs} pairs of facility and metric" in shown.parts["severity"].text
    have = words.count(labelled, "facility has", "facilities have")
    assert f"{have} signals labelled critical or high" in shown.parts[""].text
    worst = max(score for _, score, *_ in facilities if score is not None)
    assert shown.headline.endswith(f"severity {words.number(worst)} of 100")
    assert rows[0]["Severity"].startswith(f"{words.number(worst)} ")
    contributions_are_right(data, query)


def contributions_are_right(data: DomainData, query: Query) -> None:
    """Of the first facility of the page of which there are any, the worst metric's."""
    (first, *_) = data.rows("rpt_quality_contributions")
    parts = query(
        "select child_group_value, excess_over_parent, weight_share, child_value "
        "from analytics.fct_contributions where run_id = (select max(run_id) from "
        f"analytics.fct_contributions) and parent_facility_id = '{first['facility_id']}' and "
        f"metric_id = '{first['metric_id']}' and parent_service_line is null"
    )
    part = page_of(data).parts["contributions"]
    assert len(parts) == len(part.rows) > 1
    assert sum(share * value for _, _, share, value in parts) == pytest.approx(
        first["parent_value"]
    )
    raises = max(parts, key=lambda each: each[1])[0]
    assert f"{raises} raises it most" in part.text
    shown = page_of(data).parts["facilities"].records()
    with_parts = {
        facility
        for (facility,) in query(
            "select distinct parent_facility_id from analytics.fct_contributions"
        )
    }
    ids = [row["Facility"].rpartition("(")[2].rstrip(")") for row in shown]
    assert first["facility_id"] == next(each for each in ids if each in with_parts)


def quality_changes_are_right(data: DomainData, query: Query) -> None:
    """Of the first and the newest run, of one set."""
    before, now = (
        {key: judged for key, *judged in rows}
        for rows in (
            query(
                "select (canonical_node_id, metric_id, group_hash)::text, severity_score, "
                "signal_type = 'suspect_data' from analytics.fct_signals "
                f"where run_id = (select {of}(run_id) from analytics.fct_signals)"
            )
            for of in ("min", "max")
        )
    )
    both = before.keys() & now.keys()
    told = page_of(data).parts["changes"].text
    for kind, many in (
        ("new", len(now.keys() - before.keys())),
        ("gone", len(before.keys() - now.keys())),
        ("same", sum(before[each] == now[each] and None not in now[each] for each in both)),
    ):
        assert f"{words.number(many)} {kind}" in told


def agents_page_is_right(data: DomainData, query: Query) -> None:
    shown = page_of(data)
    ((total, low, high),) = query(
        "select month_to_date_cost_usd, forecast_low_usd, forecast_high_usd "
        "from mart.fct_cost_forecast where developer_id = 'all'"
    )
    assert {row["is_complete_day"] for row in data.rows("rpt_agents_daily")} == {
        row["date"] < datetime.now(UTC).date() for row in data.rows("rpt_agents_daily")
    }
    (month,) = shown.parts["month"].records()
    assert (month["So far"], month["Expected from"], month["to"]) == (
        words.money(total),
        words.money(low),
        words.money(high),
    )
    days = query(
        "select date, sum(total_tokens)::bigint, sum(unpriced_tokens)::bigint "
        "from mart.fct_daily_agent_usage group by date order by date desc limit 3"
    )
    rows = shown.parts["daily"].records()
    without = "Without a price, cache reads too"
    for day, tokens, unpriced in days:
        of_day = [row for row in rows if row["Day"] == str(day)]
        assert sum(int(row["Tokens but cache reads"].replace(",", "")) for row in of_day) == tokens
        assert sum(int(row[without].replace(",", "")) for row in of_day) == unpriced
    ((commits,),) = query(
        "select count(*) from mart.fct_git_commits where is_agent_assisted = 1 and commit_date "
        "between (select max(month_start) from mart.fct_cost_forecast) "
        "and (select max(as_of_date) from mart.fct_cost_forecast)"
    )
    assert f"{words.count(commits, 'assisted commit')} in " in shown.parts["developers"].text
