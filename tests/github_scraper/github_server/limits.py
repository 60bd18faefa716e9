"""GitHub's limits: an hourly budget per identity and bucket, points a minute, requests at once.

The server refuses what goes over, and remembers that it had to.
"""

import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@dataclass
class Limits:
    """Points an hour by bucket, points a minute by bucket, requests under way."""

    hourly: dict[str, int] = field(
        default_factory=lambda: {"core": 5_000, "graphql": 5_000, "search": 30}
    )
    per_minute: dict[str, int] = field(
        default_factory=lambda: {"core": 900, "graphql": 2_000, "search": 30}
    )
    concurrent: int = 100


@dataclass
class _Window:
    resets_at: datetime
    used: int = 0


class Meter:
    """Counts what each identity spends."""

    def __init__(self, limits: Limits, clock: Any, skew: timedelta) -> None:
        self.limits = limits
        self.skew = skew
        self.violations: list[str] = []
        self.spent: dict[tuple[str, str], int] = defaultdict(int)
        self.most_in_a_minute: dict[str, int] = defaultdict(int)
        self.most_at_once = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], _Window] = {}
        self._minutes: dict[tuple[str, str], deque[tuple[datetime, int]]] = defaultdict(deque)
        self._under_way: dict[str, int] = defaultdict(int)

    def enter(self, identity: str, bucket: str) -> str | None:
        """A request arrives. Returns why it is refused, None where it is not."""
        now = self._clock.now()
        with self._lock:
            self._under_way[identity] += 1
            self.most_at_once = max(self.most_at_once, self._under_way[identity])
            if self._under_way[identity] > self.limits.concurrent:
                return self._refuse(identity, "too many requests at once", "secondary")
            minute = self._minutes[identity, bucket]
            while minute and minute[0][0] <= now - MINUTE:
                minute.popleft()
            minute.append((now, 1))
            points = sum(each for _, each in minute)
            self.most_in_a_minute[bucket] = max(self.most_in_a_minute[bucket], points)
            if points > self.limits.per_minute[bucket]:
                return self._refuse(identity, f"{points} {bucket} points in a minute", "secondary")
            window = self._window(identity, bucket, now)
            if window.used >= self.limits.hourly[bucket]:
                return self._refuse(identity, f"{bucket} budget is spent", "primary")
            return None

    def leave(self, identity: str) -> None:
        with self._lock:
            self._under_way[identity] -= 1

    def charge(self, identity: str, bucket: str, points: int) -> None:
        with self._lock:
            self._window(identity, bucket, self._clock.now()).used += points
            self.spent[identity, bucket] += points

    def exhaust(self, identity: str, bucket: str) -> None:
        """Someone else spends what is left of a budget."""
        with self._lock:
            window = self._window(identity, bucket, self._clock.now())
            window.used = self.limits.hourly[bucket]

    def headers(self, identity: str, bucket: str) -> dict[str, str]:
        with self._lock:
            window = self._window(identity, bucket, self._clock.now())
        limit = self.limits.hourly[bucket]
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - window.used)),
            "X-RateLimit-Used": str(min(limit, window.used)),
            "X-RateLimit-Reset": str(int((window.resets_at + self.skew).timestamp())),
            "X-RateLimit-Resource": bucket,
        }

    def total(self, bucket: str) -> int:
        return sum(points for (_, each), points in self.spent.items() if each == bucket)

    def _window(self, identity: str, bucket: str, now: datetime) -> _Window:
        window = self._windows.get((identity, bucket))
        if window is None or window.resets_at <= now:
            window = self._windows[identity, bucket] = _Window(now + HOUR)
        return window

    def _refuse(self, identity: str, what: str, kind: str) -> str:
        self.violations.append(f"{identity}: {what}")
        return kind
