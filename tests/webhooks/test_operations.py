import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from prefect.blocks.system import Secret

from deployments.cli.app import main as command_line
from flows._shared.errors import PermanentError
from flows._shared.inbox import read_deliveries
from flows.webhooks.__main__ import main
from flows.webhooks.github import HookApi, missing
from flows.webhooks.inbox import prepare_inbox, store
from flows.webhooks.operations import purge, reconcile
from flows.webhooks.operations import replay as replay_flow
from flows.webhooks.settings import GitHubHook, ReconcileSettings, RetentionSettings
from flows.webhooks.upkeep import Purged, replay
from flows.webhooks.upkeep import purge as purge_inbox
from tests.webhooks.fake_github import TOKEN, FakeGitHub
from tests.webhooks.harness import Running, register, rows
from tests.webhooks.test_inbox import RECEIVED, delivery, ids

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOOK = GitHubHook(repository="octo/hello", hook_id=7)


@pytest.fixture
def inbox(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        prepare_inbox(connection)
        yield connection


@pytest.fixture
def token(prefect_server: str) -> str:
    Secret(value=TOKEN).save("webhooks-test-token", overwrite=True)
    return "webhooks-test-token"


def test_replayed_deliveries_are_read_again_in_their_order_and_told_anew(
    inbox: psycopg.Connection[Any],
) -> None:
    names = ["a", "b", "c", "d"]
    store(inbox, [delivery(name) for name in names])
    inbox.execute("update webhooks.outbox set stored_at = now()")
    last = list(read_deliveries(inbox, "scout", None))[-1].position
    assert replay(inbox, "scout", ["c", "a"]) == 2
    assert ids(inbox, last) == ["a", "c"]
    assert ids(inbox) == ["b", "d", "a", "c"]
    events = inbox.execute("select event_id, stored_at is null from webhooks.outbox").fetchall()
    assert len({event for event, _ in events}) == 6
    assert sum(is_due for _, is_due in events) == 2


def test_a_time_range_is_replayed_without_its_end(inbox: psycopg.Connection[Any]) -> None:
    at = [RECEIVED + number * HOUR for number in range(4)]
    store(inbox, [delivery(str(n), received_at=each) for n, each in enumerate(at)])
    last = list(read_deliveries(inbox, "scout", None))[-1].position
    assert replay(inbox, "scout", since=at[1], until=at[3]) == 2
    assert ids(inbox, last) == ["1", "2"]


def test_a_replay_of_what_is_not_there_changes_nothing(inbox: psycopg.Connection[Any]) -> None:
    store(inbox, [delivery("a")])
    with pytest.raises(PermanentError, match="only 1 of them"):
        replay(inbox, "scout", ["a", "z"])
    with pytest.raises(PermanentError, match="Name delivery ids"):
        replay(inbox, "scout")
    inbox.execute("update webhooks.deliveries set source = 'own'")
    with pytest.raises(PermanentError, match=r"agent_analytics, github, own, quality_compass, sc"):
        replay(inbox, "nosuch", since=RECEIVED)
    with pytest.raises(PermanentError, match=r"did you mean github\?"):
        replay(inbox, "github-scraper", since=RECEIVED)
    assert replay(inbox, "quality-compass", since=RECEIVED) == 0
    assert replay(inbox, "scout", since=RECEIVED) == 0
    assert inbox.execute("select replays from webhooks.deliveries").fetchall() == [(0,)]


def test_bodies_go_first_and_their_rows_later(inbox: psycopg.Connection[Any]) -> None:
    now = RECEIVED + 1000 * DAY
    ages = {"new": 1 * DAY, "old": 100 * DAY, "older": 101 * DAY, "ancient": 500 * DAY}
    aged = {name: delivery(name, received_at=now - age) for name, age in ages.items()}
    store(inbox, list(aged.values()))
    store(inbox, [replace(aged["old"], body=b"other"), replace(aged["new"], body=b"other")])
    expected = Purged(bodies=2, deliveries=1, conflicts=1)
    assert purge_inbox(inbox, now, body_days=90, delivery_days=400, batch_rows=1) == expected
    assert ids(inbox) == ["new"]
    kept = inbox.execute("select delivery_id from webhooks.deliveries order by id").fetchall()
    assert kept == [("new",), ("old",), ("older",)]
    assert store(inbox, [aged["old"]])[0].value == "duplicate"
    again = purge_inbox(inbox, now, body_days=90, delivery_days=400, batch_rows=1000)
    assert again == Purged(0, 0, 0)


def test_flows_purge_and_replay_and_so_does_the_command(
    inbox: psycopg.Connection[Any],
    database: str,
    prefect_server: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = uuid.uuid4().hex[:8]
    register(name, database)
    block = f"webhooks-{name}-postgres"
    store(inbox, [delivery("a"), delivery("b", received_at=datetime.now(UTC))])
    replay_flow("scout", ids=["a"], database_block=block)
    assert ids(inbox) == ["b", "a"]
    chosen = ["--source", "scout", "--id", "b", "--database-block", block]
    assert command_line(["replay", *chosen, "--until", "2999-01-01"]) == 0
    assert "Replayed 1 delivery of scout" in capsys.readouterr().out
    assert ids(inbox) == ["a", "b"]
    purge(RetentionSettings(database_block=block, body_days=0.5, delivery_days=0.5))
    assert ids(inbox) == ["b"]


def test_before_there_is_an_inbox_commands_say_so(
    database: str, prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = uuid.uuid4().hex[:8]
    register(name, database)
    of_block = ["--database-block", f"webhooks-{name}-postgres"]
    with psycopg.connect(database) as connection:
        connection.execute("drop schema if exists webhooks cascade")
    for command in (["replay", "--source", "scout", "--id", "b"], ["purge"]):
        assert main([*command, *of_block]) == 1
        assert "there is no inbox in the database" in capsys.readouterr().err


def test_the_reconciler_gets_what_github_failed_to_deliver(
    receiver: Running, inbox_url: str, token: str
) -> None:
    guids = {name: str(uuid.uuid4()) for name in ("arrived", "lost", "twice", "young", "too old")}
    with FakeGitHub(receiver.url) as github:
        for name, age in {"too old": 80 * HOUR, "twice": 50 * HOUR, "lost": 3 * HOUR}.items():
            github.record(guids[name], age, "failed to connect")
        github.record(guids["twice"], 49 * HOUR, "timed out")
        github.record(guids["arrived"], 2 * HOUR, "timed out")
        github.record(guids["young"], timedelta(seconds=5), "pending")
        assert github.deliver(guids["arrived"]) == 202
        github.refusals += [502]
        settings = ReconcileSettings(
            database_block="webhooks-session-postgres",
            token_block=token,
            hooks=(HOOK,),
            api_url=github.url,
        )
        with FastRetries():
            reconcile(settings)
        assert sorted(github.asked_again) == sorted([guids["lost"], guids["twice"]])
        reconcile(settings)
        assert len(github.asked_again) == 2
    query = "select delivery_id from webhooks.deliveries where delivery_id = any(%s)"
    found = {delivery_id for (delivery_id,) in rows(inbox_url, query, list(guids.values()))}
    assert found == {guids["arrived"], guids["lost"], guids["twice"]}


class FastRetries:
    """The task's own retries, without their pauses."""

    def __enter__(self) -> None:
        from flows.webhooks.operations import reconcile_hook

        self._task, self._before = reconcile_hook, reconcile_hook.retry_delay_seconds
        reconcile_hook.retry_delay_seconds = [0]

    def __exit__(self, *_: object) -> None:
        self._task.retry_delay_seconds = self._before


def test_what_is_missing_is_judged_by_its_age_and_its_attempts() -> None:
    now = datetime.now(UTC)
    with FakeGitHub("http://nowhere.invalid", page=2) as github:
        github.record("often", 70 * HOUR, "failed")
        for hours in range(5):
            github.record("often", 60 * HOUR - hours * HOUR, "failed")
        github.record("old", 73 * HOUR, "failed")
        github.record("older than the record", 100 * HOUR, "failed")
        github.record("here", HOUR, "OK")
        github.record("gone", HOUR, "OK")
        with httpx.Client(
            base_url=github.url, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client:
            attempts = list(HookApi(client, HOOK).attempts(now - 4 * DAY))
    found = missing(attempts, {"here"}, now, days=3, settle_seconds=120)
    assert [each.guid for each in found.again] == ["gone"]
    assert [each.guid for each in found.given_up] == ["often"]
    assert [each.guid for each in found.too_old] == ["old"]


@pytest.mark.parametrize(
    ("hook", "token_given"),
    [(HOOK, "wrong"), (GitHubHook(organization="another", hook_id=7), TOKEN)],
)
def test_a_wrong_token_or_hook_says_what_to_check(hook: GitHubHook, token_given: str) -> None:
    headers = {"Authorization": f"Bearer {token_given}"}
    with (
        FakeGitHub("http://nowhere.invalid") as github,
        httpx.Client(base_url=github.url, headers=headers) as client,
        pytest.raises(PermanentError, match="Check the hook's number") as refused,
    ):
        list(HookApi(client, hook).attempts(datetime.now(UTC) - DAY))
    assert token_given not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "following"),
    [
        *((said, "") for said in (b"<html>", b"{}x", b'{"a": 1}', b"[1]", b"[" * 100_000)),
        (b"[]", "/repos/octo/hello/hooks/7/deliveries?page=2"),
        (b"[]", "http://elsewhere.invalid/"),
        (b"[]", "http://["),
    ],
)
def test_an_answer_that_is_no_record_of_deliveries_is_told_as_one_and_ends(
    said: bytes, following: str
) -> None:
    with (
        FakeGitHub("http://nowhere.invalid", lie=(said, following)) as github,
        httpx.Client(base_url=github.url) as client,
        pytest.raises(PermanentError, match="no record of deliveries"),
    ):
        list(HookApi(client, HOOK).attempts(datetime.now(UTC) - DAY))
