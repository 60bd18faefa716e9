"""A run that does not end well leaves a summary that says so, in place of the last good one."""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import yaml
from prefect import Flow, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelling, Crashed

from flows._shared.errors import PermanentError
from flows._shared.orchestration import published
from flows._shared.orchestration.failed_run import (
    paragraph,
    reason_of,
    sentence,
    summarized,
)
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.summary import (
    Progress,
    RunSummary,
    publish_load,
    publish_summary,
)

ROOT = Path(__file__).parents[2]
# They publish no summary: each ends with an artifact of its own, or with none.
WITHOUT_SUMMARY = {
    "github-scraper-repositories",
    "scout-docs",
    "scout-embeddings",
    "quality-compass-metrics",
    "quality-compass-maintenance",
    "quality-compass-rollback",
    "quality-compass-checklist",
}
Work = Callable[[], Any]


def ran(key: str, work: Work, **options: Any) -> tuple[UUID, State[Any]]:
    """A run of a flow that does ``work`` and is summarized under the key."""
    ids: list[str] = []

    @summarized(key, **options)
    @flow(name=f"{key}-test")
    def run() -> None:
        ids.append(str(flow_run.id))
        work()

    state: State[Any] = run(return_state=True)
    return UUID(ids[0]), state


def newest(key: str) -> dict[str, Any]:
    """What the UI shows under a key."""
    client = get_client(sync_client=True)
    path: Any = f"/artifacts/{key}/latest"
    found: dict[str, Any] = client.request("GET", path).json()
    return found


def measures(key: str) -> dict[str, Any]:
    return {each["measure"]: each["value"] for each in json.loads(newest(f"{key}-run")["data"])}


def built(project: str, target: str = "", **models: str) -> None:
    """What a build of these models would have told; the one named `staged` is no mart."""
    api = current_flow_run()
    assert api
    rows = [
        {"name": name, "type": "model", "status": status, "mart": name != "staged"}
        for name, status in models.items()
    ]
    api.create_table("-".join(filter(None, (project, "dbt-nodes", target))), rows, "")


def good(key: str, **models: str) -> Work:
    def work() -> None:
        built(key, **models)
        publish_summary(key, RunSummary(5, 2, 3, 0, 0, 1.0, ("select 1",), ("a note",)))

    return work


def refused() -> None:
    raise PermanentError(
        "Reading the lake",
        "it is [dry](http://evil) at postgresql://me:hunter2@lake/x\n- second line. ",
        "Fill it | soon. ",
    )


def test_a_run_that_fails_takes_the_place_of_the_last_good_summary(prefect_server: str) -> None:
    before, _ = ran("dry", good("dry", staged="success", lakes="success"))
    assert newest("dry-summary")["data"].startswith("# dry: passed")

    def work() -> None:
        Progress("dry").update("load", 1, 3)
        refused()

    run, state = ran("dry", work)

    assert state.is_failed()
    told = newest("dry-summary")
    assert told["flow_run_id"] == str(run)
    assert told["data"].startswith("# dry: this run failed at load\n")
    assert (
        "**Why:** Reading the lake: it is \\[dry\\](http\\://evil) at "
        "postgresql\\://\\*\\*\\*\\*\\*\\@lake/x:\n\n- second line\n\n"
    ) in told["data"]
    assert "**What to do:** Fill it \\| soon.\n" in told["data"]
    assert "the marts as earlier runs left them; none is of this run." in told["data"]
    name = get_client(sync_client=True).read_flow_run(before).name
    assert f"| {name} (Completed, " in told["data"]
    assert told["data"].rstrip().endswith("| lakes |")
    assert measures("dry") == {
        "rows_loaded": None,
        "models_built": 0,
        "models_unchanged": 0,
        "tests_passed": 0,
        "tests_unchanged": 0,
        "warnings": 0,
        "failures": 1,
        "seconds": None,
        "look": [],
        "state": "failed",
    }


def test_a_build_that_stopped_half_way_names_which_marts_are_of_which_run(
    prefect_server: str,
) -> None:
    first, _ = ran("mixed", good("mixed", a="success", b="success", c="success", staged="success"))
    second, _ = ran("mixed", good("mixed", b="success", c="error"))

    def work() -> None:
        publish_load("mixed", 12_345, ["2 lines quarantined", "a [b](http://e)"])
        built("mixed", a="success", b="error", c="skipped", d="skipped", staged="success")
        # Neither a test nor another target of the project says which rows are in a mart.
        built("mixed", "source-freshness", b="success")
        built("mixed", "bigquery", b="success")
        refused()

    ran("mixed", work)

    text = newest("mixed-summary")["data"]
    client = get_client(sync_client=True)
    assert (
        "**What it loaded, which stays:** 12,345 rows.\n\n- 2 lines quarantined\n"
        "- a \\[b\\](http\\://e)\n\n**What readers"
    ) in text
    assert measures("mixed")["rows_loaded"] == 12_345
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    told = {line.split(" | ")[1].removesuffix(" |"): line.split(" | ")[0][2:] for line in rows}
    assert told.pop("a, b (bigquery)") == "this run"
    assert told.pop("b").startswith(client.read_flow_run(second).name)
    assert told.pop("c").startswith(client.read_flow_run(first).name)
    assert told.pop("d") == "none that is known"
    assert not told
    assert "a mix: 2 marts of this run beside 2 of earlier ones" in text
    assert "at dbt" in text.splitlines()[0]
    assert "**Failed in dbt:** b." in text


def test_what_a_run_published_before_it_failed_is_kept_below(prefect_server: str) -> None:
    def work() -> None:
        good("kept", lakes="success")()
        refused()

    run, _ = ran("kept", work)

    client = get_client(sync_client=True)
    filters: Any = {"artifacts": {"flow_run_id": {"any_": [str(run)]}}}
    found = client.request("POST", "/artifacts/filter", json=filters).json()
    keys = sorted(each["key"] for each in found if each["key"])
    assert keys == ["kept-dbt-nodes", "kept-run", "kept-summary"]
    first, _, rest = newest("kept-summary")["data"].partition("\n")
    assert first == "# kept: this run failed before its first stage"
    assert "# kept: passed" in rest
    assert "- a note" in rest
    assert "readers see now:** the marts of this run." in rest
    assert measures("kept") | {"failures": 1, "rows_loaded": 5, "state": "failed"} == measures(
        "kept"
    )


def test_a_copy_that_is_published_whole_is_of_the_last_run_that_published(
    prefect_server: str,
) -> None:
    ran("whole", good("whole", a="success", b="success"), is_published_whole=True)

    def unpublished() -> None:
        built("whole", a="success", b="error")
        refused()

    ran("whole", unpublished, is_published_whole=True)
    text = newest("whole-summary")["data"]
    assert "none is of this run" in text
    assert "| this run |" not in text
    assert "**Failed in dbt:** b." in text

    def after_publishing() -> None:
        built("whole", a="success", b="success")
        Progress("whole").update("publish", 1, 1)
        refused()

    ran("whole", after_publishing, is_published_whole=True)
    text = newest("whole-summary")["data"]
    assert text.startswith("# whole: this run failed after publish\n")
    assert "| this run | a, b |" in text


def build(target: str = "", **models: Mapping[str, Any]) -> published.Build:
    nodes = [
        {"name": name, "type": "model", "status": "success", "mart": True, **said}
        for name, said in models.items()
    ]
    return published.Build(uuid4(), target, nodes)


def test_a_view_shows_the_run_that_its_table_is_of(prefect_server: str) -> None:
    def rows(table: str, view: str) -> None:
        api = current_flow_run()
        assert api
        said = [("lakes", "table", table), ("old_lakes", "view", view)]
        nodes = [
            {"name": name, "type": "model", "status": status, "mart": True, "materialized": kind}
            for name, kind, status in said
        ]
        api.create_table("views-dbt-nodes", nodes, "")

    def work() -> None:
        rows("success", "skipped")
        refused()

    ran("views", lambda: rows("success", "success"))
    ran("views", work)
    text = newest("views-summary")["data"]
    assert "readers see now:** the marts of this run." in text
    assert "| this run | lakes |" in text
    assert "| whichever the tables are of that these views show | old_lakes |" in text


def test_targets_that_write_one_relation_write_one_mart() -> None:
    here, there = '"db"."marts"."a"', '"other"."marts"."a"'
    by_prod = build("prod", a={"relation": here})
    by_none = build(a={"relation": here, "status": "error"})
    unknown = build(a={})
    elsewhere = build("bigquery", a={"relation": there})
    told = published.marts_now([by_none, elsewhere, by_prod, unknown])
    assert [(mart.name, mart.run) for mart in told] == [
        ("a", by_prod.run),
        ("a (bigquery)", elsewhere.run),
    ]
    (mart,) = published.marts_now([unknown, by_prod, by_none])
    assert mart.run == unknown.run


def test_a_good_build_that_was_not_published_is_not_what_readers_see(prefect_server: str) -> None:
    def good_and_published() -> None:
        built("copied", a="success")
        Progress("copied").update("publish", 1, 1)

    def good_and_stopped() -> None:
        built("copied", a="success")
        Progress("copied").update("build", 1, 1)
        refused()

    def failed() -> None:
        built("copied", a="error")
        refused()

    first, _ = ran("copied", good_and_published, is_published_whole=True)
    ran("copied", good_and_stopped, is_published_whole=True)
    ran("copied", failed, is_published_whole=True)
    name = get_client(sync_client=True).read_flow_run(first).name
    assert f"| {name} (" in newest("copied-summary")["data"]


def test_an_error_that_is_not_ours_is_named_and_not_quoted(prefect_server: str) -> None:
    def work() -> None:
        raise ValueError("hunter2 is the password")

    ran("foreign", work)

    text = newest("foreign-summary")["data"]
    assert "hunter2" not in text
    assert "**Why:** ValueError, which is no error that this flow expects.\n" in text
    assert "no earlier build is known" in text


def test_parameters_that_are_refused_are_a_failed_run_too(prefect_server: str) -> None:
    @summarized("refused")
    @flow(name="refused-test")
    def run(count: int) -> None:
        del count

    state: State[Any] = cast(Any, run)(count="hunter2", return_state=True)

    assert state.is_failed()
    text = newest("refused-summary")["data"]
    assert text.startswith("# refused: this run failed before its first stage\n")
    assert "hunter2" not in text


def test_a_run_that_is_stopped_says_so(prefect_server: str) -> None:
    def work() -> None:
        Progress("stopped").update("load", 1, 3)
        raise SystemExit("hunter2")

    with pytest.raises(SystemExit):
        ran("stopped", work)

    text = newest("stopped-summary")["data"]
    assert text.startswith("# stopped: this run failed at load: it crashed\n")
    assert "(SystemExit)." in text
    assert "hunter2" not in text


def test_a_run_that_a_worker_cancels_says_so_once(prefect_server: str) -> None:
    """The worker calls the hooks in its own process: all it knows is on the server."""

    @summarized("told_off")
    @flow(name="told-off-test")
    def run() -> str:
        built("told-off", a="success", b="error")
        return str(flow_run.id)

    found = get_client(sync_client=True).read_flow_run(UUID(run()))
    for hook in (*run.on_cancellation_hooks, *run.on_crashed_hooks):
        hook(flow=run, flow_run=found, state=Cancelling())

    text = newest("told-off-summary")["data"]
    assert text.startswith("# told-off: this run failed at dbt: it was cancelled\n")
    assert text.count("this run failed") == 1
    assert "| this run | a |" in text


def test_a_crash_without_its_exception_tells_the_exit_code_only() -> None:
    state: State[Any] = Crashed(
        message="Flow run process exited with non-zero status code -9. hunter2"
    )

    assert "exit code -9" in reason_of(state).why
    assert "hunter2" not in reason_of(state).why


def test_a_sentence_is_one_bounded_line_without_markup_or_secrets() -> None:
    assert "\n" not in sentence("a\n\nb")
    assert sentence("password=hunter2 api_key: hunter2 and on").count("hunter2") == 0
    assert sentence("![x](y) <b>`z`") == r"!\[x\](y) \<b\>\`z\`"
    assert len(sentence("x" * 10_000)) < 1_000
    assert sentence("") == ""
    assert paragraph("2 failed:\n\n- a\n- password:\n  hunter2, b\n") == (
        "2 failed:\n\n- a\n- password:\n- \\*\\*\\*\\*\\* b"
    )
    assert paragraph("one\n" + "- x\n" * 40).count("\n") == 12
    assert paragraph("") == "."


def test_a_mart_that_no_build_of_late_wrote_is_not_given_to_a_run(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "BUILDS_LOOKED_AT", 3)

    def many() -> None:
        for _ in range(3):
            built("busy", a="success", b="error")
        refused()

    ran("busy", good("busy", a="success", b="success"))
    ran("busy", many)

    text = newest("busy-summary")["data"]
    assert "| this run | a |" in text
    assert "| none that is known | b |" in text


def flows_of_domains() -> list[Flow[..., Any]]:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    entrypoints = {each["entrypoint"] for each in declared}
    domains = [each for each in sorted(entrypoints) if each.split(".")[2] == "flow"]
    modules = [each.rpartition(".") for each in domains]
    return [getattr(import_module(module), name) for module, _, name in modules]


def test_every_flow_that_publishes_a_summary_says_it_when_it_failed() -> None:
    flows = flows_of_domains()
    assert {each.name for each in flows} >= WITHOUT_SUMMARY
    for each in flows:
        for hooks in (each.on_failure_hooks, each.on_crashed_hooks, each.on_cancellation_hooks):
            assert len(hooks) == (each.name not in WITHOUT_SUMMARY), each.name
