"""What the newest builds and answers say, as causes."""

import json
from typing import Any

from flows._shared.alerts import Cause
from flows.report.alerting import of_answer, of_builds, owner_of, shown
from flows.report.records import DOMAINS


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
    first = list(of_answer("scout", "Ann", [failed, said("2.1 % of payloads break a rule")]))
    second = list(of_answer("scout", "Ann", [said("12 % of payloads break a rule")]))
    assert first[0].key == second[0].key
    assert first[0].subject != second[0].subject
    unusual = "On 2026-11-01 the number of suggestions was unusual: 1, expected 2"
    assert list(of_answer("ledgermind", "Ann", [said(unusual)])) == []


def test_every_domain_names_its_owner() -> None:
    assert all("@" in owner_of(slug) for slug in DOMAINS)


def test_text_from_outside_calls_nobody() -> None:
    assert shown("<!channel> a\n<http://evil|good>") == "< !channel> a < http://evil|good>"
    assert len(shown("x" * 5000)) < 700
