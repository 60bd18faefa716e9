"""No window of GitHub's ever goes over its limit, whoever asks and however GitHub answers."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import psycopg
import pytest

from flows.github_scraper.records import RateLimitedError
from flows.github_scraper.settings import GithubApiSettings
from flows.github_scraper.source.credentials import PersonalToken, Pool
from flows.github_scraper.source.governor import (
    MAX_CONCURRENCY,
    POINTS_PER_MINUTE,
    Governor,
    Reservation,
)
from tests.github_scraper.conftest import Api
from tests.github_scraper.github_server import FastClock, GithubServer, Limits
from tests.github_scraper.histories import History
from tests.github_scraper.tables import contents

HOUR = 3_600.0


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


@pytest.fixture
def governor(connection: psycopg.Connection, clock: FastClock) -> Governor:
    return Governor(connection, clock, max_wait_seconds=HOUR, chance=random.Random(1))


def headers(
    clock: FastClock, remaining: int, *, limit: int = 5_000, minutes: float = 30
) -> dict[str, str]:
    reset = clock.now() + timedelta(minutes=minutes)
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(reset.timestamp())),
    }


def spend(governor: Governor, clock: FastClock, remaining: int, **told: float) -> Reservation:
    reservation = governor.reserve(["user:1"], "core")
    governor.settle(reservation, headers(clock, remaining, **told))  # type: ignore[arg-type]
    return reservation


def test_what_is_under_way_is_taken_from_the_budget_before_the_answer(
    connection: psycopg.Connection, governor: Governor, clock: FastClock
) -> None:
    spend(governor, clock, 2_000)
    for _ in range(2):
        governor.reserve(["user:1"], "core")
    assert connection.execute("select remaining from github_api.budgets").fetchone() == (1_998,)


def test_a_run_goes_on_beside_the_request_that_a_killed_one_left(
    connection: psycopg.Connection, clock: FastClock
) -> None:
    wait = GithubApiSettings().max_wait_seconds
    killed, again = (Governor(connection, clock, max_wait_seconds=wait) for _ in range(2))
    killed.reserve(["user:1"], "graphql")
    assert again.reserve(["user:1"], "graphql").identity == "user:1"


def test_a_late_answer_does_not_give_budget_back(
    connection: psycopg.Connection, governor: Governor, clock: FastClock
) -> None:
    spend(governor, clock, 2_000)
    first, second = (governor.reserve(["user:1"], "core") for _ in range(2))
    governor.settle(second, headers(clock, 1_998))
    governor.settle(first, headers(clock, 1_999))
    assert connection.execute("select remaining from github_api.budgets").fetchone() == (1_998,)


def test_a_spent_budget_is_waited_for_and_one_that_takes_too_long_is_an_error(
    connection: psycopg.Connection, clock: FastClock
) -> None:
    patient = Governor(connection, clock, max_wait_seconds=HOUR)
    spend(patient, clock, 0, minutes=30)
    before = clock.now()
    with pytest.raises(RateLimitedError) as raised:
        Governor(connection, clock, max_wait_seconds=60).reserve(["user:1"], "core")
    assert raised.value.retry_at is not None
    assert abs(raised.value.retry_at - before - timedelta(minutes=30)) < timedelta(seconds=5)
    patient.reserve(["user:1"], "core")
    assert clock.now() >= before + timedelta(minutes=30)


def test_the_end_of_a_budget_is_spread_over_the_time_that_is_left(
    governor: Governor, clock: FastClock
) -> None:
    spend(governor, clock, 100, minutes=50)
    before = clock.now()
    for number in range(5):
        spend(governor, clock, 99 - number, minutes=50)
    assert timedelta(seconds=100) < clock.now() - before < timedelta(seconds=300)


def test_a_minute_holds_no_more_points_than_github_allows(
    governor: Governor, clock: FastClock
) -> None:
    sent = []
    for number in range(POINTS_PER_MINUTE["search"] * 3):
        reservation = governor.reserve(["user:1"], "search")
        sent.append(clock.now())
        governor.settle(reservation, headers(clock, 5_000 - number))
    for moment in sent:
        in_window = [each for each in sent if moment <= each < moment + timedelta(seconds=60)]
        assert len(in_window) <= 30


def test_retry_after_parks_that_identity_only_and_others_step_in(
    governor: Governor, clock: FastClock
) -> None:
    reservation = governor.reserve(["user:1", "user:2"], "core")
    assert reservation.identity == "user:1"
    governor.settle(reservation, {"retry-after": "600"}, is_limited=True)
    before = clock.now()
    assert governor.reserve(["user:1", "user:2"], "core").identity == "user:2"
    assert clock.now() == before
    assert governor.reserve(["user:1"], "graphql").bucket == "graphql", "another bucket is open"
    governor.reserve(["user:1"], "core")
    assert clock.now() - before >= timedelta(seconds=600)


def test_limits_without_a_time_are_waited_for_ever_longer(
    governor: Governor, clock: FastClock
) -> None:
    waits = []
    for _ in range(3):
        before = clock.now()
        reservation = governor.reserve(["user:1"], "core")
        waits.append((clock.now() - before).total_seconds())
        governor.settle(reservation, {}, is_limited=True)
    assert waits[0] == 0
    assert 60 <= waits[1] <= 76
    assert 120 <= waits[2] <= 151


@pytest.mark.parametrize("skew", [timedelta(hours=-5), timedelta(hours=5)])
def test_a_clock_that_differs_from_githubs_changes_no_wait(
    governor: Governor, clock: FastClock, skew: timedelta
) -> None:
    theirs = clock.now() + skew
    told = {
        "date": format_datetime(theirs, usegmt=True),
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int((theirs + timedelta(minutes=10)).timestamp())),
    }
    governor.settle(governor.reserve(["user:1"], "core"), told)
    before = clock.now()
    governor.reserve(["user:1"], "core")
    assert timedelta(minutes=9) < clock.now() - before < timedelta(minutes=11)


def test_concurrency_grows_with_success_and_halves_with_trouble(
    connection: psycopg.Connection, governor: Governor, clock: FastClock
) -> None:
    def concurrency() -> float:
        row = connection.execute("select concurrency from github_api.budgets").fetchone()
        assert row is not None
        return float(row[0])

    for number in range(60):
        spend(governor, clock, 4_000 - number)
    assert concurrency() == MAX_CONCURRENCY
    for _ in range(int(MAX_CONCURRENCY)):
        governor.reserve(["user:1"], "core")
    impatient = Governor(connection, clock, max_wait_seconds=0)
    with pytest.raises(RateLimitedError, match="busy"):
        impatient.reserve(["user:1"], "core")
    clock.sleep(120)
    governor.settle(governor.reserve(["user:1"], "core"), {}, is_failed=True)
    assert concurrency() == MAX_CONCURRENCY / 2


def test_runs_side_by_side_share_one_budget(database: str, connection: psycopg.Connection) -> None:
    clock = FastClock()
    limits = Limits(hourly={"core": 400, "graphql": 60, "search": 30})
    server = GithubServer(clock=clock, limits=limits)
    errors: list[Exception] = []

    def use(number: int) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as own:
                governor = Governor(own, clock, HOUR * 2, random.Random(number))
                for _ in range(25):
                    reservation = governor.reserve(["user:1"], "graphql")
                    refused = server.meter.enter("user:1", "graphql")
                    assert refused is None, server.meter.violations
                    server.meter.charge("user:1", "graphql", 1)
                    told = server.meter.headers("user:1", "graphql")
                    server.meter.leave("user:1")
                    governor.settle(reservation, {name.lower(): v for name, v in told.items()})
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert not server.meter.violations
    assert server.meter.total("graphql") == 100
    assert server.meter.most_at_once <= MAX_CONCURRENCY


def test_a_key_sticks_to_its_token_when_others_come_and_go() -> None:
    def pool(count: int) -> Pool:
        tokens = []
        for number in range(count):
            tokens.append(PersonalToken("b", f"t{number}"))
            tokens[-1].identity = f"user:{number}"
        return Pool(tokens)

    keys = [f"R_{number}" for number in range(300)]
    three, four = pool(3), pool(4)
    moved = [key for key in keys if three.order(key)[0] != four.order(key)[0]]
    assert all(four.order(key)[0] == "user:3" for key in moved), "only the new token takes over"
    assert 40 < len(moved) < 110
    assert {three.order(key)[0] for key in keys} == {"user:0", "user:1", "user:2"}


@pytest.fixture
def chaotic(api: Api) -> Iterator[Api]:
    limits = Limits(hourly={"core": 5_000, "graphql": 30, "search": 30})
    tokens = {"ghp_a": "user:1", "ghp_b": "user:2"}
    with GithubServer(chaos=0.2, seed=11, limits=limits, tokens=tokens).running() as server:
        yield replace(api, server=server)


def test_a_chaos_run_ends_with_the_tables_of_a_calm_one(
    api: Api, chaotic: Api, small_history: History
) -> None:
    repository = api.server.add(small_history.path)
    api.sync(api.server.address(repository), page_size=8)
    calm = contents(api.connection)
    api.connection.execute(
        "truncate public.repositories, public.contributors, github_api.budgets,"
        " github_api.requests cascade"
    )
    chaotic.server.add(small_history.path)
    url = chaotic.server.address(repository)
    chaotic.sync(url, page_size=8, max_wait_seconds=2 * HOUR, timeout_seconds=2)
    host = api.server.url
    assert {
        name: [tuple(str(value).replace(chaotic.server.url, host) for value in row) for row in rows]
        for name, rows in contents(api.connection).items()
    } == {name: [tuple(str(value) for value in row) for row in rows] for name, rows in calm.items()}
    assert not chaotic.server.meter.violations
    assert chaotic.server.clock.slept > 60, "nothing went wrong in this chaos"
    assert len(chaotic.server.requests) > 40


def test_a_spent_budget_in_the_middle_of_a_walk_is_resumed_where_it_was(
    api: Api, small_history: History
) -> None:
    url = api.server.address(api.server.add(small_history.path))

    def exhaust(request: object) -> None:
        if api.server.calls["history"] == 5:
            api.server.meter.exhaust("user:1", "graphql")

    api.server.on_request = exhaust
    with pytest.raises(RateLimitedError) as raised:
        api.sync(url, page_size=10)
    assert raised.value.retry_at is not None
    api.server.on_request = None
    api.server.clock.sleep((raised.value.retry_at - api.server.clock.now()).total_seconds())
    api.sync(url, page_size=10)
    assert max(api.server.cursors.values()) == 1
