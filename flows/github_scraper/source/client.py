"""Requests to GitHub: every answer is an outcome with a name, whatever its status pretends.

Answers are untrusted. Their size and time are bounded, redirects are followed on the same host
only, and the only secret of a request travels in its Authorization header.
"""

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import psycopg
from psycopg.types.json import Jsonb

from flows.github_scraper.records import (
    ApiRequestError,
    ApiUnavailableError,
    NotReadyError,
    RedirectRefusedError,
    TokenRejectedError,
)
from flows.github_scraper.source.answers import (
    decoded,
    messages,
    next_link,
    raise_for,
    refuse_unusable,
    says_limited,
)
from flows.github_scraper.source.clock import Clock
from flows.github_scraper.source.credentials import Pool
from flows.github_scraper.source.governor import Governor

API_VERSION = "2022-11-28"
JSON_ACCEPT = "application/vnd.github+json"
SHA_ACCEPT = "application/vnd.github.sha"
USER_AGENT = "analytics-flows"
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REDIRECTS = 5
TRIES = 6
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
# 202: still computing. Asked again this often, ever more slowly.
READY_TRIES = 3


@dataclass(frozen=True)
class Endpoints:
    """Where one GitHub is asked."""

    rest: str
    graphql: str

    @classmethod
    def of(cls, host_url: str) -> "Endpoints":
        host_url = host_url.rstrip("/")
        if urlsplit(host_url).hostname == "github.com":
            return cls("https://api.github.com", "https://api.github.com/graphql")
        return cls(f"{host_url}/api/v3", f"{host_url}/api/graphql")


@dataclass(frozen=True)
class Answer:
    """``body`` is the decoded JSON, or text for other media types; None for 204."""

    status: int
    body: Any
    next_url: str | None = None
    was_unchanged: bool = False


@dataclass(frozen=True)
class GraphqlAnswer:
    """``errors`` are those that name a part of ``data`` which is null because of them."""

    data: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...] = ()


@dataclass
class _Exchange:
    """One request that got through: its final answer, read whole."""

    status: int
    headers: httpx.Headers
    content: bytes
    identity: str


class GithubClient:
    """Asks one GitHub with the tokens of a pool, inside their budgets. For use by one thread.

    Args:
        connection: in autocommit mode; holds the stored answers.
        key: what sticks to one token: the repository's address.
    """

    def __init__(
        self,
        http: httpx.Client,
        endpoints: Endpoints,
        pool: Pool,
        governor: Governor,
        connection: psycopg.Connection,
        clock: Clock,
        key: str,
        chance: random.Random | None = None,
        timeout_seconds: float = 30,
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._pool = pool
        self._governor = governor
        self._connection = connection
        self._clock = clock
        self._key = key
        self._chance = chance or random.Random()
        self._timeout = timeout_seconds

    def rest(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        *,
        accept: str = JSON_ACCEPT,
        is_conditional: bool = False,
        known_etag: str | None = None,
        tries: int = TRIES,
    ) -> Answer:
        """GET a path of the REST API, or an absolute URL on its host (a ``next_url``).

        ``is_conditional`` asks with the ETag of the stored answer and serves that on 304.
        ``known_etag`` is sent as it is; a 304 then has no body.

        Raises:
            PlatformError: named after the situation.
        """
        url = urljoin(f"{self._endpoints.rest}/", path.lstrip("/") if "://" not in path else path)
        self._check_host(url)
        url = str(httpx.URL(url, params=dict(parameters))) if parameters else url
        attempted = f"Asking GitHub for {urlsplit(url).path}"
        asked_for = url
        for _ in range(MAX_REDIRECTS + 1):
            exchange = self._get(url, attempted, accept, is_conditional, known_etag, tries)
            if exchange.status == 304:
                stored = self._stored(exchange.identity, url, accept)
                body, next_url = stored or (None, None)
                return Answer(304, body, next_url, was_unchanged=True)
            if exchange.status in (301, 302, 307, 308):
                url = self._redirected(attempted, url, exchange.headers.get("location"))
                continue
            if exchange.status == 204:
                return Answer(204, None)
            body = decoded(attempted, exchange.content, accept)
            next_url = next_link(exchange.headers.get("link", ""))
            if next_url is not None:
                self._check_host(next_url)
            if is_conditional:
                self._store(exchange, url, accept, body, next_url)
            return Answer(exchange.status, body, next_url)
        raise RedirectRefusedError(
            attempted,
            f"more than {MAX_REDIRECTS} redirects from {urlsplit(asked_for).path}",
            "Check the repository's address on GitHub",
        )

    def graphql(
        self, query: str, variables: Mapping[str, Any], *, points: int = 1, tries: int = TRIES
    ) -> GraphqlAnswer:
        """Run a query. Errors that concern parts of it are returned beside the rest of the data.

        Raises:
            PlatformError: named after the situation; ApiUnavailableError also where GitHub ran
                out of time, which a smaller page may mend.
        """
        attempted = "Asking GitHub's GraphQL API"
        content = json.dumps({"query": query, "variables": dict(variables)}).encode()
        request = self._http.build_request(
            "POST",
            self._endpoints.graphql,
            content=content,
            headers={"Accept": JSON_ACCEPT, "Content-Type": "application/json"},
        )
        exchange = self._exchange(request, "graphql", attempted, points, tries)
        document = decoded(attempted, exchange.content, JSON_ACCEPT)
        errors = tuple(document.get("errors") or ())
        data = document.get("data")
        if data is None:
            raise ApiRequestError(
                attempted,
                f"it answered {messages(errors) or 'without data'}",
                "Check the versions of GitHub Enterprise Server and of this project",
            )
        return GraphqlAnswer(data, errors)

    def _get(
        self,
        url: str,
        attempted: str,
        accept: str,
        is_conditional: bool,
        known_etag: str | None,
        tries: int,
    ) -> _Exchange:
        bucket = "search" if urlsplit(url).path.startswith("/search/") else "core"
        for number in range(READY_TRIES + 1):
            request = self._http.build_request("GET", url, headers={"Accept": accept})
            if known_etag is not None:
                request.headers["If-None-Match"] = f'"{known_etag}"'
            exchange = self._exchange(request, bucket, attempted, 1, tries, is_conditional)
            if exchange.status != 202:
                return exchange
            if number < READY_TRIES:
                self._back_off(number + 1)
        raise NotReadyError(attempted, "GitHub is still computing it", "Ask again in some minutes")

    def _exchange(
        self,
        request: httpx.Request,
        bucket: str,
        attempted: str,
        points: int,
        tries: int,
        is_conditional: bool = False,
    ) -> _Exchange:
        """Send until there is an answer that waiting or another token would not change."""
        failures = 0
        while True:
            reservation = self._governor.reserve(self._identities(attempted), bucket, points)
            credential = self._pool[reservation.identity]
            headers: Mapping[str, str] = {}
            is_limited = is_failed = False
            try:
                request.headers["Authorization"] = credential.authorization()
                if is_conditional:
                    self._make_conditional(request, reservation.identity)
                status, answered, content = self._send(request)
                headers = answered
                is_limited = says_limited(status, answered, content)
                if not is_limited:
                    refuse_unusable(attempted, status, answered, content)
            except ApiUnavailableError:
                is_failed = True
                failures += 1
                if failures >= tries:
                    raise
            finally:
                self._governor.settle(
                    reservation, headers, is_limited=is_limited, is_failed=is_failed
                )
            if is_limited:
                continue
            if is_failed:
                self._back_off(failures)
                continue
            if status == 401:
                self._pool.drop(credential.identity)
                if not self._pool:
                    raise TokenRejectedError(
                        attempted,
                        f"GitHub rejected the token of the block {credential.label} (401)",
                        "Put a valid token into that block with `flows blocks register`",
                    )
                continue
            raise_for(attempted, status, answered, content)
            return _Exchange(status, answered, content, reservation.identity)

    def _identities(self, attempted: str) -> list[str]:
        identities = self._pool.order(self._key)
        if not identities:
            raise TokenRejectedError(
                attempted,
                "GitHub rejected every token",
                "Put valid tokens into their blocks with `flows blocks register`",
            )
        return identities

    def _send(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        """One request and its whole body, bounded in size and time."""
        attempted = f"Asking GitHub for {request.url.path}"
        deadline = time.monotonic() + self._timeout
        chunks: list[bytes] = []
        size = 0
        try:
            response = self._http.send(request, stream=True, follow_redirects=False)
            try:
                for chunk in response.iter_bytes():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > MAX_BODY_BYTES or time.monotonic() > deadline:
                        raise ApiUnavailableError(
                            attempted,
                            f"the answer went past {size} bytes or {self._timeout:.0f} s",
                            "It is asked for again, in smaller pages where it has pages",
                        )
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise ApiUnavailableError(
                attempted,
                f"no answer ({type(error).__name__})",
                "Check the network and GitHub's status page; the next run continues here",
            ) from None
        return response.status_code, response.headers, b"".join(chunks)

    def _back_off(self, failures: int) -> None:
        longest = min(FIRST_BACKOFF_SECONDS * 2 ** (failures - 1), LONGEST_BACKOFF_SECONDS)
        self._clock.sleep(self._chance.uniform(0.1, longest))

    def _check_host(self, url: str) -> None:
        ours, theirs = urlsplit(self._endpoints.rest), urlsplit(url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise RedirectRefusedError(
                "Following a link of GitHub's API",
                f"it leads to another host, {theirs.scheme}://{theirs.hostname}",
                "Nothing was sent there; check what answers at the configured host",
            )

    def _redirected(self, attempted: str, url: str, location: str | None) -> str:
        if not location:
            raise RedirectRefusedError(
                attempted, "a redirect to nowhere", "Check the repository's address on GitHub"
            )
        target = urljoin(url, location)
        self._check_host(target)
        return target

    def _make_conditional(self, request: httpx.Request, identity: str) -> None:
        """ETags depend on the token, so they are kept by identity."""
        request.headers.pop("If-None-Match", None)
        row = self._connection.execute(
            "select etag, last_modified from github_api.responses"
            " where identity = %s and url = %s and accept = %s",
            (identity, str(request.url), request.headers["Accept"]),
        ).fetchone()
        if row is not None and row[0]:
            request.headers["If-None-Match"] = row[0]
        elif row is not None and row[1]:
            request.headers["If-Modified-Since"] = row[1]

    def _stored(self, identity: str, url: str, accept: str) -> tuple[Any, str | None] | None:
        row = self._connection.execute(
            "select body, link from github_api.responses"
            " where identity = %s and url = %s and accept = %s",
            (identity, url, accept),
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def _store(
        self, exchange: _Exchange, url: str, accept: str, body: Any, next_url: str | None
    ) -> None:
        etag, modified = exchange.headers.get("etag"), exchange.headers.get("last-modified")
        if etag is None and modified is None:
            return
        self._connection.execute(
            """
            insert into github_api.responses
                (identity, url, accept, etag, last_modified, link, body, stored_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (identity, url, accept) do update
            set
                etag = excluded.etag, last_modified = excluded.last_modified,
                link = excluded.link, body = excluded.body, stored_at = excluded.stored_at
            """,
            (
                exchange.identity, url, accept, etag, modified, next_url,
                Jsonb(without_nul(body)), self._clock.now(),
            ),
        )  # fmt: skip


def without_nul(value: Any) -> Any:
    """PostgreSQL's text holds no NUL."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {key: without_nul(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_nul(each) for each in value]
    return value
