"""What the newest builds and answers say, as causes."""

import json
from dataclasses import asdict, replace
from typing import Any

from flows._shared.alerts import Cause
from flows._shared.budgets import Budget
from flows.report.alerting import of_answer, of_budgets, of_builds, owner_of, shown
from flows.report.records import DOMAINS
from tests.report.shown import NOW


def build(key: str, **statuses: str) -> dict[str, Any]:
    rows = [
        {"name": name, "type": "test", "status": status, "rows": 2, "message": "m"}
        for name, status in statuses.items()
    ]
    return {"key": key, "data": json.dumps(rows), "flow_run_id": None}


def names(causes: list[Cause]) -> list[tuple[str, str]]:
    return [(each.key, each.severity) for each in causes]


def test_the_newest_word_on_each_node_counts() -> None:
    builds = [
        build("scout-dbt-nodes", gold="pass", silver="skipped"),
        build("scout-dbt-nodes", gold="fail", silver="warn"),
        build("scout-dbt-nodes-bigquery", gold="error"),
        build("scout-dbt-nodes-test", silver="pass", bronze="fail"),
    ]
    assert names(list(of_builds("scout", "Ann", builds))) == [
        ("scout//test/silver", "warning"),
        ("scout/bigquery/test/gold", "error"),
        ("scout//test/bronze", "error"),
    ]


def test_a_stale_source_is_a_cause() -> None:
    node = {"name": "raw.runs", "type": "source", "status": "error", "rows": None, "message": "old"}
    artifact = {"key": "scout-dbt-nodes-source-freshness", "data": json.dumps([node])}
    (cause,) = of_builds("scout", "Ann", [artifact])
    assert cause.subject == "scout: source raw.runs is stale"
    assert cause.rows is None


def test_figures_that_move_are_the_same_cause() -> None:
    def said(sentence: str) -> dict[str, Any]:
        measures = {"headline": "h", "attention": [sentence], "top": []}
        rows = [{"measure": name, "value": value} for name, value in measures.items()]
        return {"data": json.dumps(rows), "flow_run_id": None}

    failed = {"data": json.dumps([{"measure": "state", "value": "failed"}])}
    for before, now in (
        ("2.1 % of payloads break a rule", "12 % of payloads break a rule"),
        ("1 facility has critical signals", "1,200 facilities have critical signals"),
    ):
        first = list(of_answer("scout", "Ann", [failed, said(before)]))
        second = list(of_answer("scout", "Ann", [said(now)]))
        assert first[0].key == second[0].key
        assert first[0].subject != second[0].subject
    week, other = (f"Food was 5 in the week of 2026-11-{day}" for day in ("02", "09"))
    keys = {next(of_answer("scout", "Ann", [said(each)])).key for each in (week, other)}
    assert len(keys) == 2
    for unusual in (
        "On 2026-11-01 the number of suggestions was unusual: 1, expected 2",
        "For 4 days from 2026-11-01 on no suggestion came: up to 2026-11-04, while 9 were expected",
    ):
        assert list(of_answer("ledgermind", "Ann", [said(unusual)])) == []


def of_a_month(*budgets: Budget) -> list[Cause]:
    artifact = {"data": json.dumps([asdict(each) for each in budgets]), "flow_run_id": None}
    return list(of_budgets("ledgermind", "Ann", [artifact, {"data": "older"}], NOW))


def test_a_budget_is_a_warning_at_its_pace_and_an_error_once_it_is_passed() -> None:
    paced = Budget("BigQuery", "2026-11", 40.0, 60.0, 50.0)
    passed = replace(paced, spent_usd=51.0, projected_usd=None)
    (warned,), (failed,) = of_a_month(paced), of_a_month(passed)
    assert (warned.severity, failed.severity) == ("warning", "error")
    assert warned.key == failed.key
    assert warned.subject == "ledgermind: the budget of BigQuery will be passed"
    assert failed.subject == "ledgermind: the budget of BigQuery is passed"
    assert "60.00 USD at its end at this pace; the budget is 50.00 USD" in warned.detail


def test_a_budget_that_holds_and_one_of_another_month_are_no_cause() -> None:
    holds = Budget("BigQuery", "2026-11", 40.0, 50.0, 50.0)
    of_october = replace(holds, month="2026-10", spent_usd=99.0)
    unknown = replace(holds, projected_usd=99.0, status="unknown")
    assert of_a_month(holds, of_october, unknown) == []


def test_a_budget_of_hostile_text_calls_nobody() -> None:
    (cause,) = of_a_month(Budget("<!channel>\n<http://evil|x>", "2026-11", 2.0, None, 1.0))
    assert "<!" not in cause.subject + cause.detail
    assert "<http" not in cause.subject + cause.detail
    assert "\n" not in cause.subject


def test_a_budget_of_the_agents_is_told_by_its_name_and_not_by_the_page() -> None:
    measures = {"headline": "h", "attention": ["Budget: Ann (over)"], "top": []}
    rows = [{"measure": name, "value": value} for name, value in measures.items()]
    run = {"data": json.dumps(rows), "flow_run_id": None}
    assert list(of_answer("agent_analytics", "Ann", [run])) == []


def test_every_domain_names_its_owner() -> None:
    assert all("@" in owner_of(slug) for slug in DOMAINS)


def test_text_from_outside_calls_nobody() -> None:
    assert shown("<!channel> a\n<http://evil|good>") == "< !channel> a < http://evil|good>"
    assert len(shown("x" * 5000)) < 700
    assert shown("\u202egpj.\u200bexe \udcff") == "\ufffdgpj.\ufffdexe \ufffd"
