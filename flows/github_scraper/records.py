"""The things of this domain and their shapes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from flows._shared.errors import PermanentError, TransientError


class RepositoryNotFoundError(PermanentError):
    """There is no repository at the address, or the credentials may not see it."""


class RepositoryAddressError(PermanentError):
    """The address is not one that may be fetched from."""


class RepositoryTooLargeError(PermanentError):
    """The mirror would grow past the configured size."""


class RepositoryEmptiedError(PermanentError):
    """A repository that had commits shows none: loading that would orphan everything."""


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


class GitCommandError(PermanentError):
    """git failed in a way that none of the other errors names."""


@dataclass(frozen=True)
class Head:
    """The state of a repository's default branch at one moment.

    ``mailmap_hash`` is the blob of ``.mailmap`` at the head, None where there is none.
    ``shallow_boundary`` lists the commits whose parents the clone does not have.
    """

    ref: str
    head_hash: str
    mailmap_hash: str | None = None
    shallow_boundary: tuple[str, ...] = ()


class Walk(Enum):
    """How much of the commit graph one sync has to read."""

    NOTHING = "nothing"
    DELTA = "delta"
    FULL = "full"


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
    """Sums over the files of a commit against its first parent; binary files have no lines."""

    lines_added: int
    lines_deleted: int
    files_changed: int
    binary_files_changed: int


class Coauthor(NamedTuple):
    name: str
    email: str


@dataclass(frozen=True)
class Identity:
    """What one contributor row stands for. ``key`` is stable under letter case."""

    key: str
    username: str | None
    email: str | None


@dataclass(frozen=True)
class Commit:
    """One commit as loaded. ``line_counts`` is None where they could not be collected."""

    commit_hash: str
    parent_hashes: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    is_encoding_valid: bool
    line_counts: LineCounts | None


@dataclass(frozen=True)
class CommitDates:
    """UTC. ``is_clamped`` where the commit's own date cannot be represented."""

    commit_date: datetime
    committed_at: datetime
    is_clamped: bool


@dataclass(frozen=True)
class LoadCounts:
    """What one sync of one repository changed: rows, not attempts."""

    repository: str
    walk: Walk
    commits_written: int = 0
    commits_orphaned: int = 0

    @property
    def rows(self) -> int:
        return self.commits_written + self.commits_orphaned


def total_rows(counts: Iterable[LoadCounts]) -> int:
    return sum(count.rows for count in counts)
