"""Keeps every token inside GitHub's limits, across threads, processes and machines.

One set of books per token *identity* (a user or an installation: GitHub limits those, not
tokens), in PostgreSQL. A request is entered before it is sent and settled with the headers of
its answer, whatever the answer was. A request is held back when

- GitHub has told this identity to wait, or it has been told so often enough to guess,
- its budget is spent, less what is under way; near the end of a budget, requests are spread
  over the time until it is renewed,
- the last minute is full, or as many requests are under way as have lately gone well.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

import psycopg
from psycopg.rows import dict_row

from flows.github_scraper.records import RateLimitedError
from flows.github_scraper.source.clock import Clock

# GitHub allows 900 and 2,000 points in any minute. Requests arrive a little later than they were
# entered, so the books keep a twentieth in hand and a second more than a minute.
POINTS_PER_MINUTE: Mapping[str, int] = {"core": 855, "graphql": 1_900, "search": 28}
MINUTE = timedelta(seconds=61)
MAX_CONCURRENCY = 8.0
# Below this share of a budget requests are spread over the time that is left.
PACING_SHARE = 0.1
RENEWAL_SLACK = timedelta(seconds=2)
# GitHub asks for at least a minute after a secondary limit that names no time.
FIRST_PARK_SECONDS = 60.0
LONGEST_PARK_SECONDS = 3_600.0
BUSY_SECONDS = 0.05
# A request that was never settled (a killed run) counts as under way for this long, which is less
# than a run waits by default.
LEASE = timedelta(seconds=45)
# Times of renewal that differ by less than this name the same budget.
SAME_RENEWAL = timedelta(seconds=5)


class Hold(Enum):
    """Why a request may not be sent yet."""

    PARKED = "parked"
    SPENT = "spent"
    PACED = "paced"
    MINUTE_FULL = "minute full"
    BUSY = "busy"


@dataclass(frozen=True)
class Wait:
    hold: Hold
    until: datetime


@dataclass(frozen=True)
class Reservation:
    """A request entered in the books of one identity."""

    number: int
    identity: str
    bucket: str


@dataclass(frozen=True)
class Limits:
    """What an answer said about limits, with times as this machine's clock would tell them."""

    points_limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], now: datetime) -> "Limits":
        """Read the headers of an answer. ``Date`` corrects for a clock that differs from ours."""
        reset = _integer(headers.get("x-ratelimit-reset"))
        reset_at = None
        if reset is not None:
            their_now = _moment(headers.get("date")) or now
            reset_at = now + timedelta(seconds=reset - their_now.timestamp())
        return cls(
            _integer(headers.get("x-ratelimit-limit")),
            _integer(headers.get("x-ratelimit-remaining")),
            reset_at,
            _seconds(headers.get("retry-after"), now),
        )


class Governor:
    """The books of all identities.

    Args:
        connection: in autocommit mode and used by nothing else; `github_api.budgets` exists.
        max_wait_seconds: longest wait before one request is sent.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        clock: Clock,
        max_wait_seconds: float,
        chance: random.Random | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._max_wait = timedelta(seconds=max_wait_seconds)
        self._chance = chance or random.Random()

    def reserve(self, identities: Sequence[str], bucket: str, points: int = 1) -> Reservation:
        """Enter a request, waiting as long as needed and allowed.

        The first identity is preferred: the others step in while it is parked or spent, not
        while it is merely busy, so that what GitHub remembers per token stays of use.

        Raises:
            RateLimitedError: the wait would be longer than ``max_wait_seconds``.
        """
        began = self._clock.now()
        while True:
            waits = []
            for identity in identities:
                answer = self._try(identity, bucket, points)
                if isinstance(answer, Reservation):
                    return answer
                waits.append(answer)
                if answer.hold in (Hold.BUSY, Hold.MINUTE_FULL):
                    break
            soonest = min(waits, key=lambda wait: wait.until)
            if soonest.until - began > self._max_wait:
                raise RateLimitedError(
                    f"Asking GitHub ({bucket})",
                    f"every token is {soonest.hold.value} until {soonest.until:%Y-%m-%d %H:%M} UTC",
                    "The run continues by itself then; tokens of more users would shorten the wait",
                    retry_at=soonest.until,
                )
            seconds = max((soonest.until - self._clock.now()).total_seconds(), BUSY_SECONDS)
            self._clock.sleep(seconds + self._chance.uniform(0, BUSY_SECONDS))

    def settle(
        self,
        reservation: Reservation,
        headers: Mapping[str, str],
        *,
        is_limited: bool = False,
        is_failed: bool = False,
    ) -> None:
        """Enter the answer. ``is_limited``: GitHub refused because of a limit; ``is_failed``: no
        usable answer came, for reasons that may be the load we make."""
        now = self._clock.now()
        limits = Limits.of(headers, now)
        with self._connection.transaction():
            budget = self._lock(reservation.identity, reservation.bucket)
            self._connection.execute(
                "update github_api.requests set lease_until = null where id = %s",
                (reservation.number,),
            )
            budget |= _renewed(budget, limits)
            if is_limited:
                budget["strikes"] += 1
                until, because = self._park(budget, limits, now)
                budget |= {"parked_until": until, "parked_because": because}
            elif not is_failed:
                budget["strikes"] = 0
            concurrency = budget["concurrency"]
            budget["concurrency"] = (
                max(1.0, concurrency / 2)
                if is_limited or is_failed
                else min(MAX_CONCURRENCY, concurrency + 1 / concurrency)
            )
            self._save(reservation.identity, reservation.bucket, budget)

    def _park(
        self, budget: Mapping[str, Any], limits: Limits, now: datetime
    ) -> tuple[datetime, str]:
        """Until when, in GitHub's order: Retry-After, else the renewal of a spent budget, else
        a minute that doubles, with jitter so that waiting runs do not all return at once."""
        if limits.retry_after is not None:
            seconds = limits.retry_after + self._chance.uniform(0, 1)
            return now + timedelta(seconds=seconds), "Retry-After"
        if limits.remaining == 0 and limits.reset_at is not None and limits.reset_at > now:
            return limits.reset_at + RENEWAL_SLACK, "budget spent"
        seconds = min(FIRST_PARK_SECONDS * 2 ** (budget["strikes"] - 1), LONGEST_PARK_SECONDS)
        seconds *= self._chance.uniform(1.0, 1.25)
        return now + timedelta(seconds=seconds), "secondary limit"

    def _try(self, identity: str, bucket: str, points: int) -> Reservation | Wait:
        now = self._clock.now()
        with self._connection.transaction():
            budget = self._lock(identity, bucket)
            if budget["reset_at"] is not None and budget["reset_at"] + RENEWAL_SLACK <= now:
                budget |= {"remaining": budget["points_limit"], "reset_at": None}
            wait = _hold(budget, points, now) or self._crowded(
                identity, bucket, points, now, budget
            )
            if wait is not None:
                return wait
            if budget["remaining"] is not None:
                budget["remaining"] -= points
            self._save(identity, bucket, budget | {"last_sent_at": now})
            row = self._connection.execute(
                """
                insert into github_api.requests (identity, bucket, points, sent_at, lease_until)
                values (%s, %s, %s, %s, %s)
                returning id
                """,
                (identity, bucket, points, now, now + LEASE),
            ).fetchone()
            assert row is not None
            return Reservation(row[0], identity, bucket)

    def _crowded(
        self, identity: str, bucket: str, points: int, now: datetime, budget: Mapping[str, Any]
    ) -> Wait | None:
        self._connection.execute(
            "delete from github_api.requests where identity = %s and sent_at <= %s"
            " and (lease_until is null or lease_until <= %s)",
            (identity, now - MINUTE, now),
        )
        row = self._connection.execute(
            """
            select
                coalesce(sum(points) filter (where sent_at > %(minute)s), 0),
                min(sent_at) filter (where sent_at > %(minute)s),
                count(*) filter (where lease_until > %(now)s)
            from github_api.requests
            where identity = %(identity)s and bucket = %(bucket)s
            """,
            {"identity": identity, "bucket": bucket, "now": now, "minute": now - MINUTE},
        ).fetchone()
        assert row is not None
        in_minute, oldest, under_way = row
        if in_minute + points > POINTS_PER_MINUTE[bucket] and oldest is not None:
            return Wait(Hold.MINUTE_FULL, oldest + MINUTE)
        # Until a first answer has told the budget, one request at a time finds it out.
        allowed = 1 if budget["remaining"] is None else int(budget["concurrency"])
        if under_way >= allowed:
            return Wait(Hold.BUSY, now + timedelta(seconds=BUSY_SECONDS))
        return None

    def _lock(self, identity: str, bucket: str) -> dict[str, Any]:
        """The books of one bucket, held against all other runs until the transaction ends."""
        self._connection.execute(
            "insert into github_api.budgets (identity, bucket) values (%s, %s)"
            " on conflict do nothing",
            (identity, bucket),
        )
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "select * from github_api.budgets where identity = %s and bucket = %s for update",
                (identity, bucket),
            ).fetchone()
        assert row is not None
        return row

    def _save(self, identity: str, bucket: str, budget: Mapping[str, Any]) -> None:
        self._connection.execute(
            """
            update github_api.budgets
            set
                points_limit = %(points_limit)s, remaining = %(remaining)s,
                reset_at = %(reset_at)s, parked_until = %(parked_until)s,
                parked_because = %(parked_because)s, strikes = %(strikes)s,
                concurrency = %(concurrency)s, last_sent_at = %(last_sent_at)s
            where identity = %(identity)s and bucket = %(bucket)s
            """,
            {**budget, "identity": identity, "bucket": bucket},
        )


def _hold(budget: Mapping[str, Any], points: int, now: datetime) -> Wait | None:
    """Whether the budget itself forbids a request now."""
    if budget["parked_until"] is not None and budget["parked_until"] > now:
        return Wait(Hold.PARKED, budget["parked_until"])
    remaining, reset_at = budget["remaining"], budget["reset_at"]
    if remaining is None or reset_at is None:
        return None
    if remaining < points:
        return Wait(Hold.SPENT, reset_at + RENEWAL_SLACK)
    floor = PACING_SHARE * (budget["points_limit"] or 0)
    if remaining < floor and budget["last_sent_at"] is not None:
        due = budget["last_sent_at"] + (reset_at - now) / remaining
        if due > now:
            return Wait(Hold.PACED, due)
    return None


def _renewed(budget: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What the headers change. Answers may arrive out of order: within one budget the smaller
    figure is the later one, and our own count already holds what is under way."""
    if limits.remaining is None or limits.reset_at is None:
        return {}
    known_reset, remaining = budget["reset_at"], limits.remaining
    if known_reset is not None and limits.reset_at < known_reset - SAME_RENEWAL:
        return {}
    is_same = known_reset is not None and limits.reset_at <= known_reset + SAME_RENEWAL
    if (is_same or known_reset is None) and budget["remaining"] is not None:
        remaining = min(remaining, budget["remaining"])
    return {
        "points_limit": limits.points_limit or budget["points_limit"],
        "remaining": remaining,
        "reset_at": known_reset if is_same else limits.reset_at,
    }


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isascii() and text.isdigit() else None


def _moment(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """Retry-After is a number of seconds or a date."""
    if (seconds := _integer(retry_after)) is not None:
        return float(seconds)
    moment = _moment(retry_after)
    return max(0.0, (moment - now).total_seconds()) if moment else None
