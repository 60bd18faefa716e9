"""GitHub's record of what it delivered: GitHub never delivers again by itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from flows._shared.errors import PermanentError, TransientError
from flows.webhooks.settings import GitHubHook

PAGE = 100
LIMITED = frozenset({403, 429})
# What the record holds beyond the time in which it can be asked for again.
LOOK_BACK = timedelta(days=1)
# A delivery that was refused so often is refused for a reason.
MOST_ATTEMPTS = 6


@dataclass(frozen=True)
class Attempt:
    """One attempt at a delivery. ``guid`` is the delivery's; attempts at it share it."""

    id: int
    guid: str
    delivered_at: datetime
    event: str
    status: str


@dataclass(frozen=True)
class Missing:
    """Deliveries that the inbox lacks, by what can be done about them."""

    again: tuple[Attempt, ...] = ()
    given_up: tuple[Attempt, ...] = ()
    too_old: tuple[Attempt, ...] = ()


class HookApi:
    """The deliveries of one hook.

    Args:
        client: with the API's address and a token that may read and redeliver.

    Every call raises TransientError when another try may help, else PermanentError.
    """

    def __init__(self, client: httpx.Client, hook: GitHubHook) -> None:
        self._client = client
        owner = f"repos/{hook.repository}" if hook.repository else f"orgs/{hook.organization}"
        self._path = f"{owner}/hooks/{hook.hook_id}/deliveries"

    def attempts(self, since: datetime) -> Iterator[Attempt]:
        """The attempts since then, newest first."""
        pages: list[str] = []
        url = f"{self._path}?per_page={PAGE}"
        while url:
            if url in pages or not self._is_own(url):
                raise self._unreadable(f"its page {url} is none that comes next")
            pages.append(url)
            response = self._call("GET", url)
            try:
                found = [_attempt(each) for each in response.json()]
            except (ValueError, LookupError, TypeError, RecursionError) as error:
                raise self._unreadable(type(error).__name__) from None
            for attempt in found:
                if attempt.delivered_at < since:
                    return
                yield attempt
            url = response.links.get("next", {}).get("url", "")

    def _is_own(self, url: str) -> bool:
        """Whether the token may go there."""
        try:
            asked, own = self._client.base_url.join(url), self._client.base_url
        except httpx.InvalidURL:
            return False
        return (asked.scheme, asked.netloc) == (own.scheme, own.netloc)

    def _unreadable(self, seen: str) -> PermanentError:
        return PermanentError(
            f"asking GitHub for {self._path}",
            f"its answer is no record of deliveries: {seen}",
            "Check `api_url`, and whether a proxy answers in its place",
        )

    def redeliver(self, attempt: Attempt) -> None:
        """Ask for one more attempt."""
        self._call("POST", f"{self._path}/{attempt.id}/attempts")

    def _call(self, method: str, url: str) -> httpx.Response:
        attempted = f"asking GitHub for {self._path}"
        try:
            response = self._client.request(method, url)
        except httpx.RequestError as error:
            raise TransientError(
                attempted, f"{type(error).__name__}: {error}", "Check the network and `api_url`"
            ) from None
        if response.is_success:
            return response
        status = response.status_code
        is_limit = status in LIMITED and (
            "retry-after" in response.headers
            or response.headers.get("x-ratelimit-remaining") == "0"
        )
        if is_limit or status >= 500:
            raise TransientError(attempted, f"it answered {status}", "It is asked again later")
        raise PermanentError(
            attempted,
            f"it answered {status}",
            "Check the hook's number and that the token may administer its hooks",
        )


def missing(
    attempts: Iterable[Attempt], known: set[str], now: datetime, days: float, settle_seconds: float
) -> Missing:
    """Judge the deliveries behind some attempts.

    Args:
        known: the ids that the inbox holds.
        days: for how long GitHub delivers again.
        settle_seconds: the newest attempt may be on its way for so long.
    """
    by_guid: dict[str, list[Attempt]] = {}
    for each in attempts:
        if each.guid not in known:
            by_guid.setdefault(each.guid, []).append(each)
    found: dict[str, list[Attempt]] = {"again": [], "given_up": [], "too_old": []}
    for tried in by_guid.values():
        newest = max(tried, key=lambda each: each.delivered_at)
        oldest = min(tried, key=lambda each: each.delivered_at)
        if oldest.delivered_at < now - timedelta(days=days):
            found["too_old"].append(oldest)
        elif newest.delivered_at > now - timedelta(seconds=settle_seconds):
            continue
        elif len(tried) >= MOST_ATTEMPTS:
            found["given_up"].append(oldest)
        else:
            found["again"].append(oldest)
    return Missing(**{name: tuple(each) for name, each in found.items()})


def _attempt(document: dict[str, Any]) -> Attempt:
    return Attempt(
        id=int(document["id"]),
        guid=str(document["guid"]),
        delivered_at=datetime.fromisoformat(document["delivered_at"]).astimezone(UTC),
        event=str(document["event"]),
        status=str(document["status"]),
    )
