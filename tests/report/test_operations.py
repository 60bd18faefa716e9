"""What the page of operations says of runs, sources and budgets."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from flows._shared.budgets import Budget
from flows.report import words
from flows.report.pages import operations
from flows.report.records import DOMAINS, OperationsData
from flows.report.source import allowed_seconds, nothing, read_operations
from tests.report.shown import NOW, Shown, files_of
from tests.report.test_sentences import made

NOTHING = {slug: nothing(slug) for slug in DOMAINS}


def test_each_source_is_late_or_in_time_and_says_why() -> None:
    failed = {
        "name": "a-run",
        "deployment": "github-scraper-6h",
        "state_type": "FAILED",
        "state_name": "Failed",
        "start_time": "2026-11-28T11:00:00Z",
        "state": {"message": "the disk is full"},
    }
    since = failed | {"deployment": "quality-compass-daily", "state": {"message": "it is full"}}
    # The last run that went well came after it.
    before = failed | {"deployment": "agent-analytics-hourly", "start_time": "2026-11-28T08:00:00Z"}
    limits = {"kind": "source", "warn_after": 43_200.0, "error_after": 172_800.0}
    nodes = limits | {"name": "raw_node_results", "newest": "2026-11-27T19:00:00Z"}
    modeling = limits | {"name": "raw_modeling_runs", "newest": "2026-11-28T09:00:00Z"}
    absent = limits | {"name": "raw_contributions", "newest": None}
    oldest = limits | {"name": "raw_entity_results", "newest": "2025-11-28T12:00:00Z"}
    mart = {"kind": "mart", "name": "fct_signals", "is_current": True}
    report, inner = mart | {"name": "rpt_quality_months"}, mart | {"name": "stg_runs"}
    former = mart | {"name": "dim_facility"}
    builds = [
        (
            "2026-11-28T11:00:00Z",
            [modeling, nodes, absent, oldest, mart | {"is_current": False}, report, inner],
        ),
        ("2026-11-28T10:00:00Z", [nodes | {"name": "not_the_newest_word"}, mart]),
        ("2026-11-27T10:00:00Z", [mart, former]),
    ]
    # Two that no reader has, and one before them.
    copies = [
        ("2026-11-28T11:00:00Z", [mart, mart | {"name": "dim_new"}], False),
        ("2026-11-28T10:00:00Z", [mart], False),
        ("2026-11-27T12:00:00Z", [mart, former], True),
    ]
    operated = OperationsData(
        runs=[failed, since, before],
        completed={
            "github_scraper": {"end_time": "2026-11-27T20:00:00Z"},
            "quality_compass": {"end_time": "2026-11-27T20:00:00Z"},
            "agent_analytics": {"end_time": "2026-11-28T09:59:00Z"},
        },
        fresh=[
            {"slug": "quality_compass", "created": at, "data": json.dumps(said)}
            for at, said in builds
        ]
        + [
            {
                "slug": "agent_analytics",
                "created": at,
                "data": json.dumps(said),
                "is_published": is_published,
            }
            for at, said, is_published in copies
        ],
        allowed=allowed_seconds(),
    )
    files = files_of(operated=operated)
    shown = Shown(files["operations.html"].decode())
    rows = {
        (row["Domain"], row["What"].split(" analytics.")[0].split(" report.")[0]): (
            row["Late?"],
            row["Why"].replace(words.SPACE, " "),
        )
        for row in shown.parts["freshness"].records()
    }
    assert shown.headline == (
        "3 deployments failing: agent-analytics-hourly, github-scraper-6h and "
        "quality-compass-daily; late: GitHub, Coding agents, 2 sources of Quality Compass and "
        "1 mart of Quality Compass"
    )
    went_well = "The last run that went well ended"
    assert rows["GitHub", "commits"] == (
        "late",
        f"{went_well} 16.0 h ago; 13.0 h are allowed; github-scraper-6h failed: the disk is full",
    )
    assert rows["Quality Compass", "signals of runs"] == (
        "in time",
        f"{went_well} 16.0 h ago; 25.0 h are allowed; quality-compass-daily failed: it is full",
    )
    of_compass = {
        name: told for (domain, name), told in rows.items() if domain == "Quality Compass"
    }
    allowed = "a warning after 12.0 h, an error after 2 days"
    del of_compass["signals of runs"]
    assert of_compass == {
        "node results raw_node_results": (
            "late",
            f"Last loaded 2026-11-27 19:00 UTC, 17.0 h ago; {allowed}",
        ),
        "entity results raw_entity_results": (
            "late",
            f"Last loaded 2025-11-28 12:00 UTC, 365 days ago; {allowed}",
        ),
        "modeling runs raw_modeling_runs": (
            "in time",
            f"Last loaded 2026-11-28 09:00 UTC, 3.0 h ago; {allowed}",
        ),
        "contributions raw_contributions": ("not judged", f"Nothing has come yet; {allowed}"),
        "fct signals fct_signals": ("in time", "Of a build 2.0 h ago; 25.0 h are allowed"),
        "dim facility dim_facility": ("late", "Of a build 26.0 h ago; 25.0 h are allowed"),
    }
    assert rows["Coding agents", "usage of agents"][1].endswith(
        "none has failed since: did any start?"
    )
    of_agents = {name: told for (domain, name), told in rows.items() if domain == "Coding agents"}
    newer = "a newer one was not published"
    assert of_agents["fct signals fct_signals"] == (
        "late",
        f"Of a build 24.0 h ago; 2.0 h are allowed; {newer}",
    )
    assert of_agents["dim facility dim_facility"][1] == "Of a build 24.0 h ago; 2.0 h are allowed"
    assert of_agents["dim new dim_new"] == ("late", "None that is known was published")
    verdicts = [late for late, _ in rows.values()]
    assert verdicts == ["late"] * 8 + ["not judged"] * 3 + ["in time"] * 3
    assert "8 of 11 domains, sources and marts are late" in shown.parts["freshness"].text
    attention = Shown(files["index.html"].decode()).parts[""].text
    assert "GitHub is late: The last run that went well ended" in attention
    assert (
        "2 sources of Quality Compass are late: node results (last loaded 17.0 h ago) and "
        "entity results (last loaded 365 days ago)"
    ) in attention
    assert "1 mart of Quality Compass is late: dim facility (of a build 26.0 h ago)" in attention
    assert "of Coding agents" not in attention, "what is late is the domain"


def test_of_many_deployments_that_fail_none_is_passed_over() -> None:
    runs = [
        {
            "name": "a-run",
            "deployment": f"deployment-{number}",
            "state_type": "FAILED",
            "state_name": "Failed",
            "start_time": "2026-11-28T11:00:00Z",
            "state": {"message": f"reason {number}"},
        }
        for number in range(8)
    ]
    three = "deployment-5, deployment-6 and deployment-7"
    for many, last in (
        (5, "The last run of deployment-4 failed: reason 4"),
        (6, "And 1 more failed, its reason is below: deployment-5"),
        (8, f"And 3 more failed, their reasons are below: {three}"),
    ):
        files = files_of(operated=OperationsData(runs=runs[:many]))
        told = Shown(files["operations.html"].decode()).parts[""].texts
        assert [each for each in told if "failed" in each][-1] == last
        assert last in Shown(files["index.html"].decode()).parts[""].texts


def test_every_domain_may_be_without_a_run_for_some_time_only() -> None:
    assert allowed_seconds().keys() == DOMAINS.keys()


def test_a_run_that_runs_has_taken_no_time_yet() -> None:
    run = {
        "name": "a-run",
        "deployment": "scout-gold-6h",
        "state_type": "RUNNING",
        "state_name": "Running",
        "start_time": "2026-11-28T11:00:00Z",
        "end_time": None,
        "total_run_time": 0.0,
    }
    files = files_of(operated=OperationsData(runs=[run]))
    shown = Shown(files["operations.html"].decode())
    (row,) = shown.parts["runs"].records()
    assert row["Took"] == words.ABSENT
    assert shown.headline == "No run of a deployment has ended yet"
    failed = run | {"state_type": "FAILED", "start_time": "2026-11-28T10:00:00Z"}
    ended = run | {"state_type": "COMPLETED", "deployment": "scout-on-demand"}
    for finished, told in (
        ([failed], "1 deployment failing: scout-gold-6h"),
        ([ended], "The last finished run of 1 deployment did not fail"),
    ):
        of_both = files_of(operated=OperationsData(runs=[run, *finished]))
        assert Shown(of_both["operations.html"].decode()).headline == told
    assert "1 run, 0 failed." in shown.parts["runs"].text
    assert b"<title>Report</title>" in files["index.html"]
    assert "<title>Operations · Report</title>" in files["operations.html"].decode()


def test_why_a_run_failed_is_told_without_its_wrapper_and_with_its_remedy() -> None:
    lost = "Reading 3 repositories: " + ", ".join(f"git/some/repository-{n}" for n in range(99))
    said = f"{lost}. Give an address that git can clone"
    run = {
        "name": "a-run",
        "deployment": "github-scraper-6h",
        "state_type": "FAILED",
        "start_time": "2026-11-28T11:00:00Z",
        "state": {"message": f"Flow run encountered an exception: RepositoriesFailedError: {said}"},
    }
    files = files_of(operated=OperationsData(runs=[run]))
    for page in ("index", "operations"):
        text = Shown(files[f"{page}.html"].decode()).parts[""].text
        assert "exception" not in text
        assert "Reading 3 repositories: git/some/repository-0," in text
        assert "git/some/repository-50" not in text
    (row,) = Shown(files["operations.html"].decode()).parts["deployments"].records()
    beginning, _, text = row["Says"].partition("All of it")
    assert beginning.strip().endswith(" …")
    assert "Give an address that git can clone" in text
    left = text[text.index("git/") : text.index(". Give")]
    whole = [f"git/some/repository-{number}" for number in range(99)]
    assert {each.rstrip(",") for each in left.split()} <= {*whole, "…"}


def test_of_a_build_that_failed_the_first_node_is_told_and_the_rest_is_folded() -> None:
    place = "/home/someone/clone/.local/cache/dbt/scout"
    said = (
        "dbt build of scout: 2 of 60 nodes failed; 3 nodes that need them skipped\n"
        f"test critical_fields_are_missing: fail, Got 3 results (SQL: {place}/runs/7/first.sql)\n"
        f"model another_one: error, it is full (SQL: {place}/runs/7/second.sql). "
        f"Run the SQL named above to see the rows; results are in {place}/runs/7"
    )
    run = {
        "name": "a-run",
        "deployment": "scout-on-demand",
        "state_type": "FAILED",
        "state_name": "Failed",
        "start_time": "2026-11-28T11:00:00Z",
        "state": {"message": f"Flow run encountered an exception: DbtBuildError: {said}"},
    }
    asleep = made("agent_analytics", rpt_agents_silent=[{}])
    files = files_of({"agent_analytics": asleep}, OperationsData(runs=[run]))
    assert not [path for path, content in files.items() if b"/home/someone" in content]
    first = (
        "The last run of scout-on-demand failed: dbt build of scout: 2 of 60 nodes failed; 3 nodes "
        "that need them skipped: test critical_fields_are_missing: fail, Got 3 results "
        "(SQL: …/first.sql)"
    )
    index, operations = (Shown(files[f"{page}.html"].decode()) for page in ("index", "operations"))
    assert f"{first} …" in operations.parts[""].texts
    attention = index.parts[""].texts[index.parts[""].texts.index("What needs attention") + 1 :]
    assert attention[:2] == ["Operations", f"{first} …"]
    assert any("silent" in each for each in attention)
    (row,) = operations.parts["deployments"].records()
    beginning, _, whole = row["Says"].partition("All of it")
    assert f"failed: {beginning.strip()}" in f"{first} …"
    assert "\nmodel another_one: error, it is full (SQL: …/second.sql)" in whole


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("see /a/folder/file.sql.", "see …/file.sql."),
        ('no socket "/run/it/.s.5432"', 'no socket "…/.s.5432"'),
        (r"in C:\Users\ann\file.sql", "in …/file.sql"),
        ("of https://host.example/a/b and git@host:a/b", None),
        ("a/b/c, and/or, .local/cache/x, 1/2/3", None),
    ],
)
def test_a_path_of_the_machine_is_told_by_its_last_name(said: str, told: str | None) -> None:
    assert words.without_paths(said) == (told or said)


def test_a_budget_of_a_month_that_is_over_will_be_nothing_any_more() -> None:
    over = Budget("ann", "2026-02", 12.0, 12.0, 9.0)
    whole = replace(over, name="cy", spent_usd=5.0, status="will be over", is_whole=True)
    budgets = [
        over,
        replace(over, name="bob", spent_usd=5.0),
        replace(over, status="unknown"),
        whole,
    ]
    artifact = {"slug": "agent_analytics", "data": json.dumps([asdict(each) for each in budgets])}
    files = files_of(operated=OperationsData(budgets=[artifact]))
    part = Shown(files["operations.html"].decode()).parts["budgets"]
    states = [row["State"] for row in part.records()]
    assert states == ["over", "unknown", "unknown", "within"]
    assert "1 of 4 budgets passed or will be passed at the pace of the month so far." in part.text


def node(name: str, status: str, seconds: float = 1.0, **given: Any) -> dict[str, Any]:
    blank = {"type": "test", "rows": None, "message": "", "compiled_sql": None, "relation": None}
    return blank | {"name": name, "status": status, "seconds": seconds, **given}


def test_what_fails_is_listed_with_its_sql_and_what_takes_longest(tmp_path: Path) -> None:
    kept, other = (tmp_path / each for each in ("compiled/test.a.sql", "secret.sql"))
    for file, text in ((kept, "select 1\nfrom \u202ea"), (other, "the password")):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    newest = [
        node("a", "fail", rows=3, message="<b>Got 3</b>", compiled_sql=str(kept)),
        node("b", "warn", rows=1, relation='"db"."failures"."b"'),
        node("c", "error", 9.0, type="model", compiled_sql=str(other)),
        node("d", "skipped"),
        node("e", "unchanged", 99.0),
    ]
    older = [node("a", "pass"), node("d", "fail"), node("f", "success", 5.0, type="model", rows=7)]
    found = [
        {"key": "scout-dbt-nodes-gold", "created": f"2026-11-28T{hour}:00:00Z", "data": data}
        for hour, data in (("11", json.dumps(newest)), ("10", json.dumps(older)))
    ]

    def ask(path: str, body: Any) -> Any:
        asked = body.get("artifacts", {}).get("key", {})
        return found if asked.get("like_") == "scout-dbt-nodes" else []

    operated = read_operations(ask, "a-tag", {}, {}, NOW)
    shown = Shown(files_of(operated=operated)["operations.html"].decode())
    failing, slowest = shown.parts["failing"], shown.parts["slowest"]
    assert "3 fail and 1 warns: a of Scout, c of Scout, d of Scout and 1 more" in failing.text
    told = [(row["What"], row["State"], row["Rows"], row["Says"]) for row in failing.records()]
    assert told == [
        ("a test", "fail", "3", "<b>Got 3</b>"),
        ("c model", "error", words.ABSENT, ""),
        ("d test", "fail", words.ABSENT, ""),
        ("b test", "warn", "1", ""),
    ]
    seen = [row["To see the rows"] for row in failing.records()]
    assert seen[0].endswith("-- a\nselect 1\nfrom \ufffda")
    assert seen[1:] == ["", "", 'select * from "db"."failures"."b" limit 20']
    assert [(row["What"], row["Took"]) for row in slowest.records()][:2] == [
        ("c model", "9.0 s"),
        ("f model", "5.0 s"),
    ]
    assert "c of Scout took longest, 9.0 s (52.9 % of what all took" in slowest.text


def test_how_many_rows_marts_have_is_told_with_what_is_unusual() -> None:
    history: dict[str, list[int | None]] = {
        "fct_signals": [40, 40, 100, 101, 98, 100, 99],
        "dim_<b>facility</b>": [110, 100, 100, 100, 100, 100, 100],
        "dim_new": [7, 7, 7, 7, 7, 6, None],
        "rpt_quality_months": [1, 100, 100, 100, 100, 100, 100],
    }
    fresh: list[dict[str, Any]] = [
        {
            "slug": "quality_compass",
            "created": f"2026-11-{28 - place}T10:00:00Z",
            "data": json.dumps(
                [
                    {"kind": "mart", "name": name, "is_current": True, "rows": counts[place]}
                    for name, counts in history.items()
                ]
            ),
        }
        for place in range(7)
    ]
    # Of one that readers do not have, and of one that is long past.
    fresh.insert(0, fresh[-1] | {"is_published": False, "created": "2026-11-28T11:00:00Z"})
    fresh.append(fresh[1] | {"created": "2026-10-01T10:00:00Z"})
    files = files_of(operated=OperationsData(fresh=fresh))
    shown = Shown(files["operations.html"].decode())
    told = [
        (row["Mart"], row["Usual?"], row["Rows now"], row["Before"], row["Change"], row["to"])
        for row in shown.parts["sizes"].records()
    ]
    assert told == [
        ("fct_signals", "unusual", "40", "100", "-60.0 %", "121"),
        ("dim_new", "not judged", "7", "6", "+16.7 %", words.ABSENT),
        ("dim_<b>facility</b>", "usual", "110", "100", "+10.0 %", "120"),
    ]
    assert shown.parts["sizes"].text.count("1 of 2 marts has an unusual number of rows") == 1


def test_tests_are_told_by_run_and_runs_from_their_start_to_their_end() -> None:
    def measured(hour: int, **counts: int) -> dict[str, Any]:
        data = [{"measure": name, "value": value} for name, value in counts.items()]
        at = f"2026-11-28T{hour:02}:00:00Z"
        return {"slug": "scout", "flow_run_id": "1", "updated": at, "data": json.dumps(data)}

    measures = [
        measured(11, tests_passed=3, failures=1, warnings=2),
        measured(10, tests_passed=0, rows_loaded=9),
        measured(9, tests_passed=5, warnings=1),
        measured(9, tests_passed=6),
    ]
    run = {
        "name": "a-run",
        "deployment": "scout-<b>6h</b>",
        "state_type": "COMPLETED",
        "state_name": "Completed",
        "start_time": "2026-11-28T09:00:00Z",
        "end_time": "2026-11-28T10:30:00Z",
        "total_run_time": 5400.0,
    }
    running = run | {"state_type": "RUNNING", "state_name": "Running", "end_time": None}
    operated = OperationsData(runs=[running, run], measures=measures)
    figures = {each.key: each for each in operations.page(operated, NOTHING, NOW).figures}
    verdicts, runs = figures["verdicts"], figures["runs"]
    assert verdicts.chart
    assert runs.chart
    parts = [(each["label"], each["value"]) for each in verdicts.chart.spec["data"]["values"]]
    assert parts == [
        *(("2026-11-28 11:00 Scout", each) for each in (3, 2, 1)),
        *(("2026-11-28 09:00 Scout", each) for each in (5, 1, None)),
        *(("2026-11-28 09:00 Scout (2)", each) for each in (6, None, None)),
    ]
    assert "Of 3 newest runs that tested anything 1 had failures and 1" in verdicts.answer
    bars, marks = (each["data"]["values"] for each in runs.chart.spec["layer"])
    assert [(each["from"], each["to"]) for each in bars] == [
        ("2026-11-28T09:00:00+00:00", "2026-11-28T10:30:00+00:00")
    ]
    assert len(marks) == 2, "one that runs has no end yet"
