"""Decisions: how a repository is named, what has to be read, who a commit belongs to."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from flows.github_scraper.records import (
    Coauthor,
    CommitDates,
    Head,
    Identity,
    RepositoryAddressError,
    Signature,
    Walk,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCP_ADDRESS = re.compile(r"^(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>[^:].*)$")
NOREPLY_EMAIL = re.compile(r"^(?:\d+\+)?(?P<login>[^@+]+)@users\.noreply\.github\.com$", re.I)
COAUTHOR_TRAILER = re.compile(
    r"^co-authored-by:\s*(?P<name>[^<\n]*?)\s*<(?P<email>[^>\n]*)>", re.I | re.M
)
FETCHABLE_SCHEMES = ("https", "http", "ssh", "git", "file")


def repository_url(address: str) -> str:
    """The one spelling under which a repository is known.

    ``git@github.com:o/r.git``, ``https://GitHub.com/o/r/`` and ``https://github.com/o/r.git`` are
    one repository. Absolute paths stay as they are.

    Raises:
        RepositoryAddressError: not fetchable, or with a password inside, which is not repeated.
    """
    attempted = "Reading a repository address"
    address = address.strip()
    if any(ord(character) < 32 for character in address):
        raise RepositoryAddressError(
            attempted, f"{address!r} contains control characters", "Remove them"
        )
    if address.startswith("/"):
        return address.rstrip("/") or "/"
    if match := SCP_ADDRESS.match(address):
        host, path = match["host"].lower(), match["path"]
        if host != "github.com":
            return address
        address = f"https://{host}/{path.lstrip('/')}"
    parts = urlsplit(address)
    if parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        raise RepositoryAddressError(
            attempted,
            f"the address of {parts.hostname or 'a repository'} carries credentials",
            "Remove them from the address and keep the token in a Secret block (token_block)",
        )
    if parts.scheme not in FETCHABLE_SCHEMES or (parts.scheme != "file" and not parts.hostname):
        raise RepositoryAddressError(
            attempted,
            f"{address!r} is neither an absolute path nor a {', '.join(FETCHABLE_SCHEMES)} address",
            "Give a clone address such as https://github.com/owner/name, or an absolute path",
        )
    path = parts.path.rstrip("/")
    if parts.hostname == "github.com":
        path = path.removesuffix(".git")
    return urlunsplit((parts.scheme, parts.netloc.lower(), path, "", ""))


def split_addresses(addresses: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Distinct repositories to fetch, and for each address that is none the reason."""
    urls: dict[str, None] = {}
    refused: dict[str, str] = {}
    for position, address in enumerate(addresses, start=1):
        try:
            urls.setdefault(repository_url(address))
        except RepositoryAddressError as error:
            refused[f"address {position}"] = str(error)
    return list(urls), refused


def repository_path_name(url: str) -> str:
    """``owner/name`` of a hosted repository, the folder's name of a local one."""
    path = url.partition(":")[2] if SCP_ADDRESS.match(url) else urlsplit(url).path
    segments = [segment for segment in path.removesuffix(".git").split("/") if segment]
    is_local = url.startswith(("/", "file:"))
    return "/".join(segments[-1:] if is_local else segments[-2:]) or url


def plan_walk(previous: Head | None, current: Head, is_previous_in_mirror: bool) -> Walk:
    """How much to read, by comparing heads of the commit graph; dates play no part.

    A changed mailmap can move every commit to another contributor, and a boundary that moved
    gives commits their parents and line counts back: both need the whole graph again.
    """
    if previous is None or not is_previous_in_mirror:
        return Walk.FULL
    if previous.mailmap_hash != current.mailmap_hash:
        return Walk.FULL
    if previous.shallow_boundary != current.shallow_boundary:
        return Walk.FULL
    return Walk.NOTHING if previous.head_hash == current.head_hash else Walk.DELTA


def identify(name: str, email: str) -> Identity:
    """The contributor that a name and an e-mail stand for.

    GitHub's noreply addresses carry the login, so the address itself is no identity.
    """
    email = email.strip().lower()
    if match := NOREPLY_EMAIL.match(email):
        login = match["login"]
        return Identity(key=f"login:{login}", username=login, email=None)
    if email:
        return Identity(key=f"email:{email}", username=None, email=email)
    if name := name.strip().lower():
        return Identity(key=f"name:{name}", username=None, email=None)
    return Identity(key="anonymous", username=None, email=None)


def coauthors(message: str) -> tuple[Coauthor, ...]:
    """The distinct people named by ``Co-authored-by:`` lines, in their order."""
    if "-by:" not in message.lower():
        return ()
    found: dict[str, Coauthor] = {}
    for match in COAUTHOR_TRAILER.finditer(message):
        coauthor = Coauthor(match["name"].strip(), match["email"].strip())
        found.setdefault(identify(*coauthor).key, coauthor)
    return tuple(found.values())


def commit_dates(author: Signature, committer: Signature) -> CommitDates:
    """Author and committer date in UTC; one stands in for the other where it cannot be read."""
    authored, committed = _moment(author.epoch_seconds), _moment(committer.epoch_seconds)
    return CommitDates(
        commit_date=authored or committed or EPOCH,
        committed_at=committed or authored or EPOCH,
        is_clamped=authored is None or committed is None,
    )


def _moment(epoch_seconds: int | None) -> datetime | None:
    if epoch_seconds is None:
        return None
    try:
        return EPOCH + timedelta(seconds=epoch_seconds)
    except OverflowError:
        return None
