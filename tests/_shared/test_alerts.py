"""One message for each cause, once while it lasts, and one when it is over."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows._shared.alerts import Cause, Standing, grouped, is_quiet, step, summed_up

START = datetime(2026, 11, 29, 8, tzinfo=UTC)
FAILS = Cause("scout/test/a", "scout", "error", "Ann", "scout: test a fails", rows=3)
WARNS = Cause("scout/test/b", "scout", "warning", "Ann", "scout: test b warns")


def later(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def test_what_lasts_is_told_once_and_its_end_is_told() -> None:
    first = step((), [FAILS], START, quiet=False)
    assert [each.cause for each in first.opened] == [FAILS]
    again = step(first.standing, [FAILS], later(15), quiet=False)
    assert (again.opened, again.resolved) == ((), ())
    assert again.standing[0].since == START
    over = step(again.standing, [], later(30), quiet=False)
    assert [(each.cause, each.since) for each in over.resolved] == [(FAILS, START)]
    assert over.standing == ()
    assert step(over.standing, [FAILS], later(45), quiet=False).opened[0].since == later(45)


def test_quiet_hours_hold_warnings_back_and_let_errors_through() -> None:
    night = step((), [FAILS, WARNS], START, quiet=True)
    assert [each.cause for each in night.opened] == [FAILS]
    morning = step(night.standing, [FAILS, WARNS], later(600), quiet=False)
    assert [(each.cause, each.since) for each in morning.opened] == [(WARNS, START)]
    # Over before anybody was told: nothing is said.
    gone = step(night.standing, [FAILS], later(600), quiet=False)
    assert (gone.opened, gone.resolved) == ((), ())
    # Over in the night: said in the morning, unless it has come back.
    told = step((), [WARNS], START, quiet=False)
    slept = step(told.standing, [], later(60), quiet=True)
    assert slept.resolved == ()
    assert [each.cause for each in step(slept.standing, [], later(600), quiet=False).resolved] == [
        WARNS
    ]
    back = step(slept.standing, [WARNS], later(600), quiet=False)
    assert (back.opened, back.resolved) == ((), ())


def test_a_warning_that_becomes_an_error_is_told_again() -> None:
    warned = step((), [WARNS], START, quiet=False)
    worse = Cause(**{**vars(WARNS), "severity": "error"})
    assert [each.cause for each in step(warned.standing, [worse], later(5), quiet=True).opened] == [
        worse
    ]
    better = step(step((), [worse], START, quiet=False).standing, [WARNS], later(5), quiet=False)
    assert better.opened == ()


def test_many_of_a_domain_are_one_message() -> None:
    many = [Cause(f"k{n}", "scout", "warning", "Ann", f"test {n}") for n in range(12)]
    told = step((), [*many, Cause("g", "github_scraper", "error", "Bob", "g")], START, quiet=False)
    groups = list(grouped(told.opened))
    assert [len(group) for group in groups] == [12, 1]
    one = summed_up(groups[0])
    assert one.subject == "12 things in scout"
    assert one.detail.endswith("; and 2 more")
    assert [len(group) for group in grouped(told.opened[:3])] == [1, 1, 1]


@pytest.mark.parametrize(
    ("clock", "quiet"), [("21:59", False), ("22:00", True), ("03:00", True), ("07:00", False)]
)
def test_quiet_hours_go_over_midnight_by_their_own_clock(clock: str, quiet: bool) -> None:
    hour, minute = map(int, clock.split(":"))
    there = datetime(2026, 7, 1, hour, minute, tzinfo=UTC) - timedelta(hours=2)
    assert is_quiet(there, time(22), time(7), "Europe/Berlin") is quiet
    assert not is_quiet(there, None, None, "UTC")
    assert not is_quiet(there, time(7), time(7), "UTC")


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), max_size=12), st.data())
def test_nothing_is_lost_and_nothing_told_twice(
    rounds: list[list[str]], data: st.DataObject
) -> None:
    """By the end of all quiet: each beginning was told once, each end of it once."""
    standing: tuple[Standing, ...] = ()
    told: list[tuple[str, datetime]] = []
    over: list[tuple[str, datetime]] = []
    quiets = [data.draw(st.booleans()) for _ in rounds] + [False, False]
    for at, (keys, quiet) in enumerate(zip([*rounds, [], []], quiets, strict=True)):
        found = [Cause(key, "scout", "warning", "Ann", key) for key in keys]
        done = step(standing, found, later(at), quiet)
        standing = tuple(Standing.of_row(each.as_row()) for each in done.standing)
        told += [(each.cause.key, each.since) for each in done.opened]
        over += [(each.cause.key, each.since) for each in done.resolved]
        if not quiet:
            assert {each.cause.key for each in standing if each.told_at} >= set(keys)
    assert len(told) == len(set(told))
    assert sorted(told) == sorted(over)
    assert standing == ()
