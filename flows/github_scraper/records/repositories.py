"""Repositories as GitHub shows them, and walks through their histories over its API."""

from dataclasses import dataclass
from datetime import datetime

from flows.github_scraper.records.commits import Commit, Head, Source, Walk


@dataclass(frozen=True)
class RepositoryFacts:
    """What GitHub says of one repository. ``repository_id`` and ``node_id`` never change.

    ``head_hash`` is None where there is no default branch with commits; ``is_empty`` then tells
    whether there are no others either. ``disk_kilobytes`` is GitHub's own figure.
    ``topics`` and ``languages`` (bytes by name) are None where they were not asked for.
    """

    account_repository_id: int
    node_id: str
    name_with_owner: str
    is_archived: bool
    is_fork: bool
    is_private: bool
    disk_kilobytes: int | None
    stars: int
    forks: int
    licence: str | None
    primary_language: str | None
    description: str | None
    pushed_at: datetime | None
    ref: str | None
    head_hash: str | None
    is_empty: bool = True
    topics: tuple[str, ...] | None = None
    languages: tuple[tuple[str, int], ...] | None = None


@dataclass(frozen=True)
class KnownRepository:
    """A repository as stored. ``github_id`` and ``node_id`` are None before the first planning."""

    repository_id: int
    url: str
    github_id: int | None
    node_id: str | None
    metadata_observed_at: datetime | None


@dataclass(frozen=True)
class WalkState:
    """One walk over the API as far as it has come, pinned to the head it began with.

    ``position`` is where the next page begins: a cursor of GraphQL, a page number of REST. None
    before the first page. ``expected`` is the number of commits that GitHub announced.
    ``is_rewritten``: the head may lack commits that are loaded, so the graph has to be followed.
    """

    walk: Walk
    source: Source
    head: Head
    base_hash: str | None
    mailmap: str
    expected: int | None
    is_rewritten: bool
    position: str | None = None
    pages: int = 0
    is_complete: bool = False


@dataclass(frozen=True)
class CommitPage:
    """One page of a walk. ``position`` is where the next begins, None after the last."""

    commits: tuple[Commit, ...]
    position: str | None


@dataclass(frozen=True)
class AccountLookup:
    """Whose GitHub account an e-mail belongs to. ``login`` is None where nobody claims it."""

    email: str
    commit_hash: str
    repository_id: int
    login: str | None = None
    account_id: int | None = None
    account_type: str | None = None
