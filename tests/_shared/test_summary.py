import json
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import markdown_it
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows._shared.answers import Answer
from flows._shared.markdown import plain
from flows._shared.orchestration.flow_run import FlowRunApi, current_flow_run
from flows._shared.orchestration.summary import PURGE, Progress, RunSummary, publish_summary

NUMBERS = RunSummary(
    rows_loaded=12345,
    models_built=7,
    models_unchanged=3,
    tests_unchanged=1,
    tests_passed=30,
    warnings=1,
    failures=0,
    seconds=4.25,
    look=("select 1",),
    notes=("2 identities merged", "jane@doe.example costs most"),
    troubles=("test a: warn",),
)


def artifacts(run_id: str) -> dict[str, dict[str, Any]]:
    filters = {"flow_runs": {"id": {"any_": [run_id]}}}
    client = get_client(sync_client=True)
    found = client.request("POST", "/artifacts/filter", json=filters).json()
    assert len({each["key"] for each in found}) == len(found)
    return {each["key"]: each for each in found}


def test_a_summary_is_there_for_people_and_for_programs(prefect_server: str) -> None:
    @flow
    def run() -> str:
        publish_summary("github_scraper", NUMBERS)
        return str(flow_run.id)

    found = artifacts(run())

    measures = {
        row["measure"]: row["value"] for row in json.loads(found["github-scraper-run"]["data"])
    }
    assert measures == {
        "rows_loaded": 12345,
        "models_built": 7,
        "models_unchanged": 3,
        "tests_passed": 30,
        "tests_unchanged": 1,
        "warnings": 1,
        "failures": 0,
        "seconds": 4.2,
        "look": ["select 1"],
        "state": "completed",
    }
    text = found["github-scraper-summary"]["data"]
    assert "**7 models** built; left out as unchanged: 3 models, 1 test\n" in text
    assert "12,345" in text
    assert "## Warnings and failures\n\n- test a: warn\n\n## Notes\n\n- 2 identities" in text
    assert "- j\\*\\*\\*\\@doe.example costs most" in text
    assert "- `select 1`" in text


def test_a_summary_begins_with_the_answer_and_tells_what_changed(prefect_server: str) -> None:
    svg = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    first = Answer(
        headline="<b>Ann</b> leads",
        attention=(
            "[a](http://evil.example) rests on one person",
            "5.5 % of the payloads break a rule",
            "1 model has no price: x-1",
        ),
        title="Leaders",
        titles=("Rank", "Name", "Commits"),
        rows=(("1", "Ann | <img src=x>", "10"), ("2", "Bob", "5")),
        chart=svg,
        alternative="Bars of ![commits](x)",
    )
    second = replace(
        first,
        headline="Bob leads",
        attention=(
            "late",
            "5.6 % of the payloads break a rule",
            "2 models have no price: x-1 and y",
        ),
        rows=(("1", "Bob", "12"), ("2", "Cy", "6")),
    )

    @flow
    def run(answer: Answer) -> str:
        publish_summary("answering", replace(NUMBERS, answer=answer, rows_loaded=1, models_built=1))
        return str(flow_run.id)

    text = artifacts(run(first))["answering-summary"]["data"]
    lines = text.splitlines()
    assert lines[0] == r"# \<b\>Ann\</b\> leads"
    assert lines[2].startswith(r"![Bars of !\[commits\](x)](data:image/svg+xml;base64,")
    assert r"| 1 | Ann \| \<img src=x\> | 10 |" in lines
    assert r"- \[a\](http\://evil.example) rests on one person" in lines
    assert "No earlier answer is known" in text
    assert "**1 row** loaded and **1 model** built" in text
    order = ["# ", "![", "**Leaders**", "## What needs", "## Since", "## answering: passed"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)

    found = artifacts(run(second))
    text = found["answering-summary"]["data"]
    told = text.partition("## Since the last run")[2].partition("##")[0].split("\n- ")[1:]
    assert [each.strip() for each in told] == [
        r"The answer was: \<b\>Ann\</b\> leads",
        "New: late",
        "Still: 5.6 % of the payloads break a rule (5.5 → 5.6)",
        "Still: 2 models have no price: x-1 and y (before: 1 model has no price: x-1)",
        r"No longer: \[a\](http\://evil.example) rests on one person",
        "Bob: Rank 2 → 1",
        "Bob: Commits 5 → 12",
        "Cy is new in the table",
        r"Ann \| \<img src=x\> is no longer in the table",
    ]
    assert "Nothing has changed" in artifacts(run(second))["answering-summary"]["data"]

    @flow
    def purge() -> None:
        publish_summary(PURGE, NUMBERS)

    purge()
    text = artifacts(run(first))["answering-summary"]["data"]
    assert "No earlier answer is known" in text
    assert "Bob is no longer" not in text


def test_a_summary_leads_to_the_page_of_the_report(prefect_server: str) -> None:
    @flow
    def run() -> str:
        api = current_flow_run()
        assert api
        if not api.find_artifacts({"key": {"any_": ["linked-report"]}}, 1):
            api.create_markdown("linked-report", "[Page](https://host/latest/linked.html)", "")
            return ""
        publish_summary("linked", replace(NUMBERS, answer=Answer("All is well")))
        return str(flow_run.id)

    run()
    found = artifacts(run())
    assert found["linked-report"]["data"] == "[Page](https://host/latest/linked.html)"
    assert "- [Page](https://host/latest/linked.html)" in found["linked-summary"]["data"]


@given(st.text())
def test_no_text_acts_in_markdown(text: str) -> None:
    """CommonMark's own reading: what is shown is the text, and nothing else is made of it."""
    shown = plain(text)
    tokens = markdown_it.MarkdownIt("commonmark").enable(["table"]).parse(f"x {shown}")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    kinds = {child.type for child in tokens[1].children or ()}
    assert kinds <= {"text", "text_special"}
    assert "\n" not in shown


def test_progress_is_one_artifact_that_ends_with_the_last_word(prefect_server: str) -> None:
    @flow
    def run() -> str:
        progress = Progress("scout")
        for done in range(1001):
            progress.update("load", done, 1000, rows=done * 2)
        progress.update("dbt", 0, None)
        return str(flow_run.id)

    rows = json.loads(artifacts(run())["scout-progress"]["data"])

    assert [(row["phase"], row["done"], row["total"], row["rows"]) for row in rows] == [
        ("load", 1000, 1000, 2000),
        ("dbt", 0, None, None),
    ]


def test_progress_is_written_about_once_a_second(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[UUID] = []
    replace = FlowRunApi.replace_table

    def counted(api: FlowRunApi, artifact_id: UUID, rows: Any) -> None:
        writes.append(artifact_id)
        replace(api, artifact_id, rows)

    monkeypatch.setattr(FlowRunApi, "replace_table", counted)

    @flow
    def run() -> None:
        progress = Progress("scout")
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            progress.update("load", 1, 2)
            time.sleep(0.01)

    run()

    assert len(writes) == 2


def test_outside_a_flow_run_nothing_is_written_and_nothing_fails() -> None:
    Progress("scout").update("load", 1, 1)
    publish_summary("scout", NUMBERS)
