"""Commits, who signed them, and how much of a history was read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

# Raised when a commit gives other values than before: each repository is then read whole once.
READING = 7


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
