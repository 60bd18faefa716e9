import json
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows._shared.orchestration.flow_run import FlowRunApi
from flows._shared.orchestration.summary import (
    Progress,
    RunSummary,
    _markdown,
    publish_summary,
)

NUMBERS = RunSummary(
    rows_loaded=12345,
    models_built=7,
    tests_passed=30,
    warnings=1,
    failures=0,
    seconds=4.25,
    look=("select 1",),
    notes=("test a: warn",),
    chart="<svg xmlns='http://www.w3.org/2000/svg'/>",
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
        "tests_passed": 30,
        "warnings": 1,
        "failures": 0,
        "seconds": 4.2,
        "look": ["select 1"],
        "state": "completed",
    }
    text = found["github-scraper-summary"]["data"]
    assert "12,345" in text
    assert "- test a: warn" in text
    assert "data:image/svg+xml;base64," in text


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


def test_notes_of_a_run_that_passed_are_no_warnings() -> None:
    assert "## Warnings and failures" in _markdown("x", NUMBERS)
    passed = _markdown("x", replace(NUMBERS, warnings=0))
    assert "## Notes" in passed
    assert "Warnings and failures" not in passed
