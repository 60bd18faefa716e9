"""Copilot's reports, from GitHub's API."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import httpx

from flows._shared.outgoing import header_token, open_client
from flows.agent_analytics.records import (
    CopilotDay,
    CopilotDownError,
    CopilotRefusedError,
    Rejected,
)
from flows.agent_analytics.rules import copilot_day, legacy_copilot_day
from flows.agent_analytics.source.rows import parsed

API_VERSION = "2022-11-28"
NOT_YET = {202, 204}


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
        if answer.status_code in NOT_YET:
            return
        for link in answer.json().get("download_links") or []:
            yield from self._download(str(link), day)

    def fetch_legacy(
        self, organization: str, days: Sequence[date]
    ) -> Iterator[CopilotDay | Rejected]:
        """The old organization-wide days, from the first to the last of ``days``.

        Raises:
            CopilotDownError, CopilotRefusedError
        """
        path = f"/orgs/{organization}/copilot/metrics"
        span = {"since": min(days).isoformat(), "until": max(days).isoformat(), "per_page": "100"}
        page = 1
        while rows := self._get(path, {**span, "page": str(page)}).json():
            for number, row in enumerate(rows, 1):
                text = json.dumps(row).encode()
                yield parsed(text, legacy_copilot_day, "legacy", f"page {page} row {number}")
            page += 1

    def _download(self, link: str, day: date) -> Iterator[CopilotDay | Rejected]:
        name = f"users-1-day {day.isoformat()}"
        try:
            with self.anonymous.stream("GET", link) as answer:
                _check(answer, f"Downloading the Copilot report of {day}")
                for number, line in enumerate(answer.iter_lines(), 1):
                    if line.strip():
                        yield parsed(line.encode(), copilot_day, name, f"line {number}")
        except httpx.TransportError as error:
            raise _down(f"Downloading the Copilot report of {day}", type(error).__name__) from error

    def _get(self, path: str, parameters: Mapping[str, str]) -> httpx.Response:
        attempted = f"Fetching {path}"
        try:
            answer = self.authorized.get(path, params=dict(parameters))
        except httpx.TransportError as error:
            raise _down(attempted, type(error).__name__) from error
        _check(answer, attempted)
        return answer


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


def _down(attempted: str, seen: str) -> CopilotDownError:
    return CopilotDownError(attempted, seen, "The run tries again; else check the API's status")
