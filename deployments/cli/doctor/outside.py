"""What is outside: GitHub, the way to it, the clock."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from deployments.cli.doctor.world import World
from deployments.cli.told import Diagnosis
from flows._shared.errors import PlatformError
from flows._shared.outgoing import header_token

TOKEN_BLOCK = "github-scraper-token"  # noqa: S105  the name of a block
SECONDS = 10
SKEW_SECONDS = 60


def github(world: World) -> Iterator[Diagnosis]:
    """GitHub."""
    host = urlsplit(world.github).hostname or ""
    try:
        answer = httpx.get(f"{world.github}/rate_limit", timeout=SECONDS)
    except httpx.TransportError as error:
        found = unreachable(host, error)
        yield found if _is_used(world) else _noted(found)
        return
    if answer.is_server_error:
        yield Diagnosis(
            "GitHub", f"{host} answers {answer.status_code}", True, "Wait; runs try again"
        )
        return
    yield Diagnosis("GitHub", f"{host} answers")
    yield from _clock(answer)


def _is_used(world: World) -> bool:
    """Whether the set-up names a GitHub, or a token for it: without, clones on disk may do."""
    if any(world.environment.get(name) for name in ("GITHUB_API_URL", "GITHUB_TOKEN")):
        return True
    try:
        return _registered(world) is not None
    except PlatformError:
        # A server that does not answer is a problem of its own.
        return False


def _noted(found: Diagnosis) -> Diagnosis:
    seen = f"{found.seen}; not needed: no token for GitHub is set, what does not read there runs"
    return replace(found, seen=seen, is_problem=False, remedy="")


def token(world: World) -> Iterator[Diagnosis]:
    """GitHub token."""
    place = "the variable GITHUB_TOKEN"
    given = world.environment.get("GITHUB_TOKEN")
    if not given and not world.is_let_in:
        # Whether it has one nobody knows.
        return
    if not given:
        place, given = f"the block {TOKEN_BLOCK}", _registered(world)
    if not given:
        yield Diagnosis("GitHub token", "none: 60 requests an hour, public repositories only")
        return
    try:
        answer = httpx.get(
            f"{world.github}/rate_limit",
            headers={"Authorization": f"Bearer {header_token(given, place)}"},
            timeout=SECONDS,
        )
    except httpx.TransportError:
        return
    if answer.status_code in (401, 403):
        yield Diagnosis(
            "GitHub token",
            f"GitHub rejects it ({answer.status_code}): revoked, expired, or not allowed here",
            True,
            "Make a new one, set GITHUB_TOKEN, then `flows blocks register github_scraper`",
        )
    else:
        yield Diagnosis("GitHub token", "accepted")


def _registered(world: World) -> str | None:
    if not world.url or not world.is_let_in:
        return None
    block = world.api.find(
        f"block_types/slug/secret/block_documents/name/{TOKEN_BLOCK}?include_secrets=true"
    )
    value = (block or {}).get("data", {}).get("value")
    return value if isinstance(value, str) else None


def unreachable(host: str, error: httpx.TransportError) -> Diagnosis:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return Diagnosis(
            "DNS",
            f"{host} has no address here",
            True,
            "Check the resolver; in a cluster, that network policies let port 53 through: "
            "`flows check`",
        )
    if isinstance(error, httpx.ConnectTimeout):
        return Diagnosis(
            "egress",
            f"connections to {host} are not answered, as where a firewall drops them",
            True,
            "Let port 443 out: firewall, proxy (HTTPS_PROXY), or network policies (`flows check`)",
        )
    return Diagnosis(
        "GitHub",
        f"{host} cannot be reached ({type(error).__name__}: {error})",
        True,
        "Check the network, and githubstatus.com",
    )


def _clock(answer: httpx.Response) -> Iterator[Diagnosis]:
    if "date" not in answer.headers:
        return
    skew = (datetime.now(UTC) - parsedate_to_datetime(answer.headers["date"])).total_seconds()
    if abs(skew) <= SKEW_SECONDS:
        yield Diagnosis("clock", f"within {SKEW_SECONDS} s of GitHub's")
        return
    yield Diagnosis(
        "clock",
        f"it is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} GitHub's: signatures and "
        "tokens are refused, schedules are off",
        True,
        "Set it by NTP: `timedatectl set-ntp true`",
    )
