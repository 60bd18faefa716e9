"""Opens the API for a run: whose tokens these are, and a client for each repository."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from flows._shared.outgoing import MalformedTokenError, open_client
from flows._shared.postgres import connected
from flows.github_scraper.records import (
    ApiConfigurationError,
    ApiUnavailableError,
    TokenRejectedError,
)
from flows.github_scraper.settings import GithubApiSettings
from flows.github_scraper.source.client import API_VERSION, USER_AGENT, Endpoints, GithubClient
from flows.github_scraper.source.clock import Clock, SystemClock
from flows.github_scraper.source.credentials import (
    Credential,
    Installation,
    PersonalToken,
    Pool,
    read_app_key,
    user_identity,
)
from flows.github_scraper.source.governor import Governor

TRIES = 4


@dataclass(frozen=True)
class Secrets:
    """What the blocks of a run hold. Pairs of a block's name and its content."""

    tokens: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    app: tuple[str, str] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.tokens or self.app)


@dataclass
class GithubApi:
    """One GitHub and the credentials for it. Safe to share between threads."""

    http: httpx.Client
    endpoints: Endpoints
    pool: Pool
    settings: GithubApiSettings
    clock: Clock
    # Why the token of a block is not used, by the block's name.
    rejected: Mapping[str, str] = field(default_factory=dict)

    def git_token(self, key: str) -> str:
        """The token for git, of the same identity that the API uses for ``key``."""
        order = self.pool.order(key)
        if not order:
            raise TokenRejectedError(
                f"Reading from {self.settings.host_url} by git",
                "GitHub rejected every token",
                "Put valid tokens into their blocks with `flows blocks register`",
            )
        return self.pool[order[0]].authorization().removeprefix("Bearer ")

    @contextmanager
    def client(self, database_url: str, key: str) -> Iterator[GithubClient]:
        """A client for one thread. ``key`` is what sticks to one token."""
        with connected(database_url, "the database of the raw tables") as connection:
            governor = Governor(connection, self.clock, self.settings.max_wait_seconds)
            yield GithubClient(
                self.http,
                self.endpoints,
                self.pool,
                governor,
                connection,
                self.clock,
                key,
                timeout_seconds=self.settings.timeout_seconds,
            )


_opened: dict[tuple[Secrets, GithubApiSettings], GithubApi] = {}
_opening = threading.Lock()


def open_api(
    secrets: Secrets, settings: GithubApiSettings, clock: Clock | None = None
) -> GithubApi:
    """The API with every token tried, once for a process and a set of secrets.

    Raises:
        ApiConfigurationError: there is no token, or the app's key is malformed.
        TokenRejectedError: GitHub rejected every one of them.
        ApiUnavailableError: GitHub does not answer.
        MalformedTokenError: no header may hold any of them.
        ProxyAddressError: the environment names a proxy that cannot be read.
    """
    if not secrets:
        raise ApiConfigurationError(
            f"Opening the API of {settings.host_url}",
            "there is no token",
            "Name a Secret block in `token_block`, `api.token_blocks` or `api.app_block`, or set "
            "`api.path` to git",
        )
    with _opening:
        key = (secrets, settings)
        if clock is not None or key not in _opened or not _opened[key].pool:
            opened = _open(secrets, settings, clock or SystemClock())
            if clock is not None:
                return opened
            _opened[key] = opened
        return _opened[key]


def _open(secrets: Secrets, settings: GithubApiSettings, clock: Clock) -> GithubApi:
    http = open_client(
        headers={"User-Agent": USER_AGENT, "X-GitHub-Api-Version": API_VERSION},
        timeout=httpx.Timeout(settings.timeout_seconds, connect=min(10, settings.timeout_seconds)),
        follow_redirects=False,
    )
    endpoints = Endpoints.of(settings.host_url)
    credentials: list[Credential] = []
    rejected: dict[str, str] = {}
    malformed: list[MalformedTokenError] = []
    for label, text in secrets.tokens:
        try:
            token = PersonalToken(label, text)
        except MalformedTokenError as error:
            malformed.append(error)
            rejected[label] = error.seen
            continue
        answer = _ask(http, clock, "GET", f"{endpoints.rest}/user", token.authorization())
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            rejected[label] = "GitHub rejected it (401)"
            continue
        token.identity = user_identity(answer)
        credentials.append(token)
    if secrets.app is not None:
        label, document = secrets.app

        def mint(path: str, authorization: str) -> dict[str, Any]:
            answer = _ask(http, clock, "POST", f"{endpoints.rest}{path}", authorization)
            if answer.status_code == httpx.codes.CREATED:
                return dict(answer.json())
            raise TokenRejectedError(
                f"Signing in with the GitHub App of the block {label}",
                f"GitHub answered {answer.status_code}",
                "Check app_id, installation_id and private_key in the block of `api.app_block`, "
                "and that the app is still installed",
            )

        installation = Installation(label, read_app_key(label, document), mint, clock)
        installation.authorization()
        credentials.append(installation)
    if not credentials:
        if len(malformed) == len(rejected):
            raise malformed[0]
        raise TokenRejectedError(
            f"Opening the API of {settings.host_url}",
            why_not_used(rejected),
            "Put a valid token into the block that `token_block` or `api.token_blocks` names, "
            "with `flows blocks register`",
        )
    return GithubApi(http, endpoints, Pool(credentials), settings, clock, rejected)


def why_not_used(rejected: Mapping[str, str]) -> str:
    """A line on tokens that are not used."""
    return "; ".join(f"the token of {label}: {why}" for label, why in rejected.items())


def _ask(
    http: httpx.Client, clock: Clock, method: str, url: str, authorization: str
) -> httpx.Response:
    """One of the few requests made before it is known whose budget they are on."""
    seen = ""
    for number in range(TRIES):
        try:
            answer = http.request(method, url, headers={"Authorization": authorization})
        except httpx.HTTPError as error:
            seen = f"no answer ({type(error).__name__})"
        else:
            if answer.status_code < 400 or answer.status_code in (401, 404):
                try:
                    answer.json()
                except ValueError:
                    seen = "the answer is no JSON"
                else:
                    return answer
            else:
                seen = f"it answered {answer.status_code}"
        if number < TRIES - 1:
            clock.sleep(2.0**number)
    raise ApiUnavailableError(
        f"Asking GitHub at {url.partition('/api/')[0]} who the token belongs to",
        seen,
        "Check `api.host_url`, the network and GitHub's status page",
    )
