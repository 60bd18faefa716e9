"""One command makes a server equal to the files, and only what differs is touched."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.apply.changes import PROJECT_TAG
from deployments.apply.files import AUTOMATIONS, PREFECT_YAML, declared
from deployments.apply.infrastructure import LIMIT_PREFIX, TEMPLATE_FILES, limits, pool_template
from deployments.local.api import PrefectApi
from tests.deployments.applied import Server

pytestmark = pytest.mark.in_order

GOLD_SCHEDULE = '{"active": false, "cron": "30 */6 * * *", "parameters": {}, "timezone": "UTC"}'
WEEKLY = '{"active": false, "cron": "0 9 * * 1", "parameters": {}, "timezone": "Europe/Paris"}'
MINE = {"deployments": {"tags": {"all_": [PROJECT_TAG]}}}


def forget_everything(api: PrefectApi) -> None:
    """Make a server that other tests have used like one this project was never applied to."""
    for each in api.all("automations/filter"):
        api.call("DELETE", f"automations/{each['id']}")
    for each in api.all("deployments/filter", MINE):
        api.call("DELETE", f"deployments/{each['id']}")
    for each in api.all("v2/concurrency_limits/filter"):
        if each["name"].startswith(LIMIT_PREFIX):
            api.call("DELETE", f"v2/concurrency_limits/{each['name']}")


@pytest.fixture(scope="module")
def server(prefect_server: str) -> Server:
    own = Server(prefect_server)
    forget_everything(own.api)
    own.api.call("DELETE", f"work_pools/{own.pool.name}")
    return own


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> "Said":
    return Said(capsys)


class Said:
    """What a command printed, without the lines about blocks, which other tests register."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def lines(self) -> list[str]:
        lines = self._capsys.readouterr().out.splitlines()
        return [line for line in lines if not line.startswith(("missing block", "left out"))]


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """The file with a schedule changed, one more, one less; a deployment and a trigger less."""
    content = yaml.safe_load(PREFECT_YAML.read_text())
    entries = {each["name"]: each for each in content["deployments"]}
    entries["github-scraper-6h"]["schedules"][0]["cron"] = "0 */8 * * *"
    weekly = {"slug": "weekly", "cron": "0 9 * * 1", "timezone": "Europe/Paris", "active": False}
    entries["scout-bronze-daily"]["schedules"].append(weekly)
    entries["scout-gold-6h"]["schedules"] = []
    del entries["scout-silver-hourly"]["triggers"]
    del entries["scout-docs-weekly"]
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump({**content, "deployments": list(entries.values())}))
    return path


def schedules(server: Server, name: str) -> dict[str, Any]:
    found = server.api.deployment(name)
    assert found is not None
    return {each["slug"]: each["schedule"]["cron"] for each in found["schedules"]}


def test_a_pool_that_is_not_there_needs_a_type(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.apply() == 1
    said = capsys.readouterr().err
    assert [each for each in TEMPLATE_FILES if f"--pool-type {each}" not in said] == []


def test_a_dry_run_shows_everything_and_makes_nothing(server: Server, said: Said) -> None:
    assert server.apply("--pool-type", "process", "--dry-run") == 0
    lines = said.lines()
    assert f"create work pool {server.pool.name}, of type process" in lines
    assert "create deployment scout-bronze-daily" in lines
    assert "create automation scout-on-demand on delivery" in lines
    assert server.api.all("deployments/filter", MINE) == []
    assert server.api.work_pool(server.pool.name) is None


def test_one_command_applies_everything_and_the_second_changes_nothing(
    server: Server, said: Said
) -> None:
    assert server.apply("--pool-type", "process") == 0
    there = {each["name"]: each for each in server.api.all("deployments/filter", MINE)}
    assert there.keys() == {each.name for each in declared()}
    assert all(each["work_pool_name"] == server.pool.name for each in there.values())
    names = {each["name"] for each in server.api.all("v2/concurrency_limits/filter")}
    for limit in limits():
        sharing = [there[name]["global_concurrency_limit"]["name"] for name in limit.deployments]
        assert sharing == [limit.name] * len(limit.deployments)
    assert {each.name for each in limits()} <= names
    assert said.lines()[-1] == f"{len(said_changes(server))} changes made"

    before = [each["updated"] for each in server.api.all("automations/filter")]
    assert server.apply() == 0
    assert said.lines() == ["Nothing to change"]
    assert [each["updated"] for each in server.api.all("automations/filter")] == before


def test_warm_deployments_go_to_a_pool_of_warm_processes_where_one_is_named(
    server: Server, said: Said
) -> None:
    warm = f"{server.pool.name}-warm"
    kept = server.api.work_pool(server.pool.name)
    assert server.apply(warm=warm) == 0
    there = {each["name"]: each for each in server.api.all("deployments/filter", MINE)}
    pools = {name: there[name]["work_pool_name"] for name in there}
    assert pools == {each.name: warm if each.is_warm else server.pool.name for each in declared()}
    assert {pools["scout-on-demand"], pools["scout-full-refresh-weekly"]} == set(pools.values())
    found = server.api.work_pool(warm)
    assert found is not None
    assert (found["type"], found["base_job_template"]) == ("prefork", pool_template("prefork"))
    assert server.api.work_pool(server.pool.name) == kept
    said.lines()
    assert server.apply(warm=warm) == 0
    assert said.lines() == ["Nothing to change"]

    assert server.apply() == 0
    there = {each["name"]: each for each in server.api.all("deployments/filter", MINE)}
    assert {each["work_pool_name"] for each in there.values()} == {server.pool.name}
    server.api.call("DELETE", f"work_pools/{warm}")
    said.lines()


def said_changes(server: Server) -> list[str]:
    """What stands on the server by this project: a pool, and what carries its tag or name."""
    found = server.api.all("v2/concurrency_limits/filter")
    return [
        server.pool.name,
        *[each["name"] for each in found if each["name"].startswith(LIMIT_PREFIX)],
        *[each["name"] for each in server.api.all("deployments/filter", MINE)],
        *[each["name"] for each in server.api.all("automations/filter")],
    ]


def test_edits_converge_and_what_the_file_drops_is_deleted(
    server: Server, edited: Path, said: Said
) -> None:
    assert server.apply("--prefect-file", edited) == 0
    assert set(said.lines()) == {
        "update deployment github-scraper-6h",
        '    schedules.every-6-hours.cron: "0 */6 * * *" -> "0 */8 * * *"',
        "update deployment scout-bronze-daily",
        f"    schedules.weekly: null -> {WEEKLY}",
        "update deployment scout-gold-6h",
        f"    schedules.every-6-hours: {GOLD_SCHEDULE} -> null",
        "delete deployment scout-docs-weekly",
        "delete automation scout-silver-hourly after scout-bronze-daily",
        "5 changes made",
    }
    assert schedules(server, "github-scraper/github-scraper-6h") == {"every-6-hours": "0 */8 * * *"}
    assert schedules(server, "scout/scout-gold-6h") == {}
    assert server.api.deployment("scout-docs/scout-docs-weekly") is None
    assert server.apply("--prefect-file", edited) == 0
    assert said.lines() == ["Nothing to change"]

    assert server.apply() == 0
    lines = said.lines()
    assert f"    schedules.weekly: {WEEKLY} -> null" in lines
    assert lines[-1] == "5 changes made"
    assert schedules(server, "scout/scout-gold-6h") == {"every-6-hours": "30 */6 * * *"}
    assert schedules(server, "scout/scout-bronze-daily") == {"daily-at-2": "0 2 * * *"}


def test_an_automation_is_changed_in_place_and_deleted_with_its_file(
    server: Server, tmp_path: Path, said: Said
) -> None:
    for path in AUTOMATIONS.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    own = tmp_path / "own.yaml"
    trigger = {"type": "event", "expect": ["scout.rows.landed"], "within": 5}
    automation: dict[str, Any] = {
        "name": "own",
        "trigger": trigger,
        "actions": [{"type": "do-nothing"}],
    }
    own.write_text(yaml.safe_dump(automation))
    assert server.apply("--automations", tmp_path) == 0
    assert said.lines() == ["create automation own", "1 change made"]
    (made,) = [each for each in server.api.all("automations/filter") if each["name"] == "own"]

    own.write_text(yaml.safe_dump({**automation, "trigger": {**trigger, "within": 7}}))
    assert server.apply("--automations", tmp_path) == 0
    assert said.lines()[:2] == ["update automation own", "    trigger.within: 5.0 -> 7.0"]
    (changed,) = [each for each in server.api.all("automations/filter") if each["name"] == "own"]
    assert changed["id"] == made["id"]

    own.unlink()
    assert server.apply("--automations", tmp_path) == 0
    assert said.lines() == ["delete automation own", "1 change made"]


def test_what_others_made_on_the_server_is_left_alone(server: Server, said: Said) -> None:
    theirs = server.pool.deploy()
    trigger = {"type": "event", "expect": ["their.event"], "posture": "Reactive"}
    body = {"name": "theirs", "trigger": trigger, "actions": [{"type": "do-nothing"}]}
    server.api.call("POST", "automations/", body)
    assert server.apply() == 0
    assert said.lines() == ["Nothing to change"]
    assert server.api.deployment(theirs) is not None


def test_without_a_server_or_pool_the_command_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from deployments.apply.__main__ import main

    monkeypatch.delenv("PREFECT_WORK_POOL", raising=False)
    assert main([]) == 1
    assert "PREFECT_WORK_POOL not set" in capsys.readouterr().err
