"""Copilot's reports, from GitHub's API."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx

from flows._shared.outgoing import header_token, open_client
from flows.agent_analytics.records import (
    CopilotDay,
    CopilotDownError,
    CopilotRefusedError,
    Rejected,
)
from flows.agent_analytics.rules import copilot_day, legacy_copilot_day
from flows.agent_analytics.source.rows import lines_of, parsed, rejected_lines

API_VERSION = "2022-11-28"
NOT_YET = {202, 204}
DAYS_ON_PAGE = 100
MOST_BYTES_OF_ANSWER = 64 << 20
MOST_BYTES_OF_REPORT = 2 << 30
MOST_SECONDS = 900


@contextmanager
def copilot_client(
    api: str, token: str, transport: httpx.BaseTransport | None = None
) -> Iterator["Copilot"]:
    """The Copilot reports of one token. The token goes to the API only, not to download links."""
    headers = {
        "Authorization": f"Bearer {header_token(token, '`copilot_token_block`')}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": API_VERSION,
    }
    with (
        open_client(base_url=api, headers=headers, timeout=60, transport=transport) as authorized,
        open_client(timeout=300, transport=transport) as anonymous,
    ):
        yield Copilot(authorized, anonymous)


@dataclass(frozen=True)
class Copilot:
    """Copilot usage of an organization."""

    authorized: httpx.Client
    anonymous: httpx.Client

    def fetch_day(self, organization: str, day: date) -> Iterator[CopilotDay | Rejected]:
        """Each user's day, from the files the report links to. A day without a report is empty.

        Raises:
            CopilotDownError, CopilotRefusedError
        """
        path = f"/orgs/{organization}/copilot/metrics/reports/users-1-day"
        answer = self._get(path, {"day": day.isoformat()})
        if answer is None:
            return
        links = answer.get("download_links") or [] if isinstance(answer, dict) else None
        if not isinstance(links, list):
            raise _unreadable(f"Fetching {path}", "it names no files to download")
        for link in links:
            yield from self._download(str(link), day)

    def fetch_legacy(
        self, organization: str, days: Sequence[date]
    ) -> Iterator[CopilotDay | Rejected]:
        """The old organization-wide days, from the first to the last of ``days``.

        Raises:
            CopilotDownError, CopilotRefusedError
        """
        path = f"/orgs/{organization}/copilot/metrics"
        first, last = min(days), max(days)
        span = {
            "since": first.isoformat(),
            "until": last.isoformat(),
            "per_page": str(DAYS_ON_PAGE),
        }
        # No more than there are days, and one that is empty.
        for page in range(1, (last - first).days // DAYS_ON_PAGE + 3):
            rows = self._get(path, {**span, "page": str(page)})
            if not rows:
                return
            if not isinstance(rows, list):
                raise _unreadable(f"Fetching {path}", "it is no list of days")
            for number, row in enumerate(rows, 1):
                text = json.dumps(row).encode()
                yield parsed(text, legacy_copilot_day, "legacy", f"page {page} row {number}")

    def _download(self, link: str, day: date) -> Iterator[CopilotDay | Rejected]:
        attempted = f"Downloading the Copilot report of {day}"
        name = f"users-1-day {day.isoformat()}"
        too_long: list[bytes] = []
        with _answering(attempted), tempfile.TemporaryFile() as report:
            # Nothing but a server of that kind is asked by the API's word.
            if httpx.URL(link).scheme != self.authorized.base_url.scheme:
                raise _unreadable(attempted, f"its link is no {self.authorized.base_url.scheme}")
            with self.anonymous.stream("GET", link) as answer:
                _check(answer, attempted)
                report.writelines(_content(answer, MOST_BYTES_OF_REPORT))
            report.seek(0)
            for number, line in enumerate(lines_of(report, too_long), 1):
                if line.strip():
                    yield parsed(line, copilot_day, name, f"line {number}")
        yield from rejected_lines(name, too_long)

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        """What the API answers; nothing where it has none yet."""
        attempted = f"Fetching {path}"
        with (
            _answering(attempted),
            self.authorized.stream("GET", path, params=dict(parameters)) as answer,
        ):
            _check(answer, attempted)
            if answer.status_code in NOT_YET:
                return None
            return json.loads(b"".join(_content(answer, MOST_BYTES_OF_ANSWER)))


def _content(answer: httpx.Response, most: int) -> Iterator[bytes]:
    """The body, unpacked, if it is no longer than any that is due, and does not arrive by drops.

    Raises:
        ValueError: it is longer.
        httpx.ReadTimeout: it takes longer.
    """
    ends = time.monotonic() + MOST_SECONDS
    for part in answer.iter_bytes():
        if time.monotonic() > ends:
            raise httpx.ReadTimeout(f"no whole answer in {MOST_SECONDS} s")
        most -= len(part)
        if most < 0:
            raise ValueError("it is too long")
        yield part


@contextmanager
def _answering(attempted: str) -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise _unreadable(attempted, f"{type(error).__name__}") from None
    except httpx.RequestError as error:
        raise _down(attempted, type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(
            attempted, str(error).partition(" (")[0] or type(error).__name__
        ) from None


def _check(answer: httpx.Response, attempted: str) -> None:
    status = answer.status_code
    is_limited = status == 429 or (
        status == 403
        and ("retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0")
    )
    if status >= 500 or is_limited:
        raise _down(attempted, f"it answered {status}")
    if status >= 300:
        raise CopilotRefusedError(
            attempted,
            f"it answered {status}",
            "Check the organization's name, that Copilot metrics are on, and what the token may",
        )


def _unreadable(attempted: str, seen: str) -> CopilotRefusedError:
    return CopilotRefusedError(
        attempted,
        f"its answer is none of Copilot's API: {seen}",
        "Check `copilot_api`, and whether a proxy answers in its place",
    )


def _down(attempted: str, seen: str) -> CopilotDownError:
    return CopilotDownError(attempted, seen, "The run tries again; else check the API's status")
