"""What an answer of GitHub says: a limit, no answer at all, a refusal, or a document."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from flows._shared.errors import PlatformError
from flows.github_scraper.records import (
    AccessDeniedError,
    ApiRequestError,
    ApiUnavailableError,
    EmptyRepositoryError,
    RepositoryBlockedError,
    RepositoryGoneError,
    RepositoryMissingError,
    WalkImpossibleError,
)

LIMIT_WORDS = ("rate limit", "abuse detection", "too many requests")
TOO_LARGE_WORDS = ("too large", "history or contributor list", "took too long")


def _said(content: bytes) -> str:
    with suppress(ValueError):
        document = json.loads(content)
        if isinstance(document, dict):
            return str(document.get("message") or messages(document.get("errors") or ()))[:300]
    return content[:100].decode("utf-8", "replace")


def messages(errors: Any) -> str:
    return "; ".join(str(error.get("message", "")) for error in errors if isinstance(error, dict))[
        :300
    ]


def says_limited(status: int, headers: httpx.Headers, content: bytes) -> bool:
    """Whether GitHub refused because of a limit. It says so in four ways, one of them a 200."""
    if status == 429:
        return True
    if status == 403:
        return (
            "retry-after" in headers
            or headers.get("x-ratelimit-remaining") == "0"
            or any(word in _said(content).lower() for word in LIMIT_WORDS)
        )
    if status == 200 and b"RATE_LIMITED" in content[:4096]:
        with suppress(ValueError):
            errors = json.loads(content).get("errors") or ()
            return any(error.get("type") == "RATE_LIMITED" for error in errors)
    return False


def refuse_unusable(attempted: str, status: int, headers: httpx.Headers, content: bytes) -> None:
    """5xx, a page of HTML from something on the way, JSON that was cut short, a query that timed
    out: all mean that no answer came."""
    seen = None
    is_json = "json" in headers.get("content-type", "")
    if status >= 500:
        seen = f"it answered {status}: {_said(content)}"
    elif status == 200 and "html" in headers.get("content-type", ""):
        seen = "a page of HTML came where JSON belongs"
    elif status == 200 and is_json:
        try:
            document = json.loads(content)
        except ValueError:
            seen = "the answer was cut short"
        else:
            if isinstance(document, dict) and _timed_out(document):
                seen = messages(document["errors"])
    if seen is not None:
        raise ApiUnavailableError(
            attempted,
            seen,
            "Look at GitHub's status page; the next run continues where this one was",
        )


def _timed_out(document: Mapping[str, Any]) -> bool:
    errors = document.get("errors")
    if not errors or document.get("data") is not None:
        return False
    text = messages(errors).lower()
    return "timeout" in text or "something went wrong" in text or "couldn't respond" in text


def raise_for(attempted: str, status: int, headers: httpx.Headers, content: bytes) -> None:
    """The statuses that neither waiting nor another token mends."""
    if status < 400:
        return
    said = _said(content)
    error: PlatformError
    if status == 403 and any(word in said.lower() for word in TOO_LARGE_WORDS):
        error = WalkImpossibleError(attempted, said, "It is read another way")
    elif status == 403 and "x-github-sso" in headers:
        error = AccessDeniedError(
            attempted,
            "the organization asks for single sign-on",
            "Authorize the token for that organization in its owner's GitHub settings",
        )
    elif status == 403:
        error = AccessDeniedError(
            attempted,
            f"GitHub refused (403): {said}",
            "Give the token of `token_block` or `api.token_blocks` read access to the contents "
            "and metadata of this repository, or install the app of `api.app_block` there",
        )
    elif status == 404:
        error = RepositoryMissingError(
            attempted,
            "GitHub knows no such thing, or hides it from this token (404)",
            "Check the spelling, and that the token of `token_block` or `api.token_blocks` may "
            "see it",
        )
    elif status == 409:
        error = EmptyRepositoryError(attempted, said, "Nothing to do: it has no commits")
    elif status == 410:
        error = RepositoryGoneError(attempted, f"it is gone for good: {said}", "Remove it")
    elif status == 422:
        error = WalkImpossibleError(attempted, f"GitHub cannot list it: {said}", "Read it by git")
    elif status == 451:
        error = RepositoryBlockedError(
            attempted, f"withheld for legal reasons: {said}", "Remove it, or wait"
        )
    else:
        error = ApiRequestError(
            attempted, f"it answered {status}: {said}", "Report this with the run's log"
        )
    raise error


def decoded(attempted: str, content: bytes, accept: str) -> Any:
    if "json" not in accept:
        return content.decode("utf-8", "replace")
    try:
        return json.loads(content)
    except ValueError:
        raise ApiRequestError(
            attempted, "the answer is no JSON", "Check what answers at the configured host"
        ) from None


def next_link(header: str) -> str | None:
    """The target of ``rel="next"`` in a Link header."""
    for part in header.split(","):
        target, _, attributes = part.partition(";")
        if 'rel="next"' in attributes:
            return target.strip().strip("<>")
    return None
