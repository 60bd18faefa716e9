"""The things of this domain and their shapes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import NamedTuple

from flows._shared.errors import PermanentError, TransientError


class RepositoryNotFoundError(PermanentError):
    """There is no repository at the address, or the credentials may not see it."""


class MartsDifferError(PermanentError):
    """A mart on BigQuery does not hold what it holds on PostgreSQL."""


class RepositoryAddressError(PermanentError):
    """The address is not one that may be fetched from."""


class RepositoryNotKnownError(PermanentError):
    """There is no row of that repository."""


class RepositoryTooLargeError(PermanentError):
    """The mirror would grow past the configured size."""


class RepositoryEmptiedError(PermanentError):
    """A repository that had commits shows none: loading that would orphan everything."""


class ApplicationTablesError(PermanentError):
    """The leaderboard application's own tables have another shape than the one that is known."""


class SourceCorruptError(PermanentError):
    """An object of the repository is missing or damaged where it is fetched from."""


class DefaultBranchError(PermanentError):
    """HEAD leads to no commit, though the repository has some."""


class LoginRequiredError(TransientError):
    """The host asks for a login. GitHub also does so for public clones in busy periods."""


class RepositoryUnreachableError(TransientError):
    """The host did not answer, or broke off."""


class MirrorBusyError(TransientError):
    """Another run holds the mirror."""


class MirrorBrokenError(TransientError):
    """The mirror on disk cannot be read; it is dropped and cloned again."""


class IncompleteWalkError(TransientError):
    """git log gave another number of commits than the graph has."""


class GitCommandError(TransientError):
    """git failed in a way that none of the other errors names: nobody knows that it is for good."""


class HostUntrustedError(PermanentError):
    """The certificate or the key of the host is not the one that is trusted."""


class FolderNotOursError(PermanentError):
    """git refuses a folder that belongs to another user."""


class DiskFullError(TransientError):
    """There is no room for the mirror."""


class ApiConfigurationError(PermanentError):
    """The settings of the API cannot work: no token where one is needed, or a malformed one."""


class TokenRejectedError(PermanentError):
    """GitHub does not know the token, or it has expired."""


class AccessDeniedError(PermanentError):
    """The token is good and may not do this."""


class RepositoryGoneError(PermanentError):
    """410: GitHub says that it is gone for good."""


class RepositoryBlockedError(PermanentError):
    """451: withheld for legal reasons."""


class RepositoryMissingError(PermanentError):
    """A known repository answers 404. Its rows stay; see ``repositories.missing_since``."""


class EmptyRepositoryError(PermanentError):
    """409: the repository has no commits. A state, not a failure: callers turn it into one."""


class WalkImpossibleError(PermanentError):
    """The API cannot list this (too deep, too large, base vanished): another way is needed."""


class RedirectRefusedError(PermanentError):
    """A redirect to another host, to nowhere, or in a circle."""


class ApiRequestError(PermanentError):
    """GitHub refused the request in a way that none of the other errors names."""


class ApiUnavailableError(TransientError):
    """No usable answer: a 5xx, a time-out, a broken connection, a body cut short, HTML."""


class NotReadyError(TransientError):
    """202: GitHub is still computing the answer."""


class RepositoryBusyError(TransientError):
    """Another run is reading this repository over the API."""


class RateLimitedError(TransientError):
    """Every token is out of budget or parked for longer than a run should wait in a worker.

    ``retry_at`` is the earliest moment (UTC) at which one of them may be used again.
    """

    def __init__(
        self, attempted: str, seen: str, remedy: str, retry_at: datetime | None = None
    ) -> None:
        super().__init__(attempted, seen, remedy)
        self.retry_at = retry_at


# Raised when a commit gives other values than before: each repository is then read whole once.
READING = 4


@dataclass(frozen=True)
class Head:
    """The state of a repository's default branch at one moment.

    ``mailmap_hash`` is the blob of ``.mailmap`` at the head, None where there is none.
    ``shallow_boundary`` lists the commits whose parents the clone does not have. ``reading`` says
    by which rules the commits were read. ``attributes_hash`` stands for all ``.gitattributes``
    at the head; None where none of them speaks to linguist.
    """

    ref: str
    head_hash: str
    mailmap_hash: str | None = None
    shallow_boundary: tuple[str, ...] = ()
    reading: int = READING
    attributes_hash: str | None = None


class Walk(Enum):
    """How much of the commit graph one sync has to read."""

    NOTHING = "nothing"
    DELTA = "delta"
    FULL = "full"
    FRONTIER = "frontier"
    """From the head down to commits that are loaded already; the base of a delta is gone."""


class Source(Enum):
    """Which way a commit was read."""

    GIT = "git"
    GRAPHQL = "graphql"
    REST = "rest"


@dataclass(frozen=True)
class Signature:
    """Who signed a commit and when, raw and through the mailmap.

    ``epoch_seconds`` is None where the commit has no readable date.
    """

    name: str
    email: str
    name_mapped: str
    email_mapped: str
    epoch_seconds: int | None
    utc_offset: str


@dataclass(frozen=True)
class LineCounts:
    """Sums over the files of a commit against its first parent; binary files have no lines.

    The API does not say which files are binary, nor which lines are of which class: None.
    """

    lines_added: int
    lines_deleted: int
    files_changed: int | None
    binary_files_changed: int | None
    not_own: "NotOwnLines | None" = None


class FileClass(Enum):
    """Whose work the lines of a file are: own, or one of the kinds that line ranks leave out."""

    OWN = "own"
    VENDORED = "vendored"
    GENERATED = "generated"
    LOCKED = "locked"


class NotOwnLines(NamedTuple):
    """Of the lines of a commit, those of files that are vendored, generated or lock files."""

    added_vendored: int
    deleted_vendored: int
    added_generated: int
    deleted_generated: int
    added_locked: int
    deleted_locked: int


class Coauthor(NamedTuple):
    name: str
    email: str


@dataclass(frozen=True)
class Identity:
    """What one contributor row stands for. ``key`` is stable under letter case.

    ``account_id`` is the numeric id on github.com where the address carries it.
    """

    key: str
    username: str | None
    email: str | None
    account_id: int | None = None


@dataclass(frozen=True)
class Commit:
    """One commit as loaded. ``line_counts`` is None where they could not be collected.

    ``stats_error`` says why GitHub gave none.
    """

    commit_hash: str
    parent_hashes: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    is_encoding_valid: bool
    line_counts: LineCounts | None
    stats_error: str | None = None


@dataclass(frozen=True)
class CommitDates:
    """UTC. ``is_clamped`` where the commit's own date cannot be represented."""

    commit_date: datetime
    committed_at: datetime
    is_clamped: bool


@dataclass(frozen=True)
class LoadCounts:
    """What one sync of one repository changed (rows, not attempts), and what people should know."""

    repository: str
    walk: Walk
    commits_written: int = 0
    commits_orphaned: int = 0
    source: Source = Source.GIT
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return self.commits_written + self.commits_orphaned


def total_rows(counts: Iterable[LoadCounts]) -> int:
    return sum(count.rows for count in counts)


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


@dataclass(frozen=True)
class TableSize:
    """One table with its indexes, in bytes."""

    schema: str
    table: str
    bytes: int


@dataclass(frozen=True)
class DaySize:
    """The bytes of all tables on one UTC day."""

    day: date
    bytes: int


@dataclass(frozen=True)
class SizeOutlook:
    """``bytes_per_day`` is None before there are two days to compare; ``limit_on`` is the day the
    limit is reached at that pace, None where it never is or nothing is known of the pace."""

    bytes: int
    limit_bytes: int
    bytes_per_day: float | None
    limit_on: date | None
    is_warning: bool

    def __str__(self) -> str:
        size = f"{self.bytes / 1e9:.2f} of {self.limit_bytes / 1e9:g} GB"
        if self.bytes_per_day is None:
            pace = "growth is known from the second day on"
        else:
            pace = f"growth {self.bytes_per_day / 1e9:.3f} GB a day"
        reached = f", the limit is reached on {self.limit_on}" if self.limit_on else ""
        remedy = "; plan the move to BigQuery (github-scraper-migrate)" if self.is_warning else ""
        return f"Raw tables and marts take {size}; {pace}{reached}{remedy}"
