"""What has to be read of a repository, and what files, dates and sizes say."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from flows.github_scraper.records import (
    CommitDates,
    DaySize,
    FileClass,
    Head,
    RepositoryFacts,
    Signature,
    SizeOutlook,
    Source,
    Walk,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Files that a tool writes to pin what others made.
LOCK_FILE = re.compile(
    rb"(?:^|/)(?:[^/]*\.lock|[^/]*[.-]lock\.(?:json|ya?ml|hcl)|[^/]*\.lockfile|npm-shrinkwrap\.json"
    rb"|go\.(?:work\.)?sum|bun\.lockb|gems\.locked|(?:Cartfile|Package)\.resolved)$"
)
GENERATED_FILE = re.compile(
    rb"(?:^|/)(?:[^/]*[.-]min\.(?:js|mjs|cjs|css)|[^/]*\.(?:js|mjs|cjs|css)\.map|[^/]*_pb2(?:_grpc)?\.pyi?"
    rb"|[^/]*\.pb\.(?:go|cc|h)|[^/]*\.(?:g|freezed)\.dart|[^/]*\.[Dd]esigner\.(?:cs|vb)"
    rb"|[^/]*\.generated\.[^/]*|__generated__/.*)$"
)
VENDORED_FOLDER = re.compile(
    rb"(?:^|/)(?:node_modules|bower_components|vendor|vendors|third[_-]?party|3rd[_-]?party|Godeps"
    rb"|Pods|Carthage/Build|\.yarn/(?:releases|plugins|cache|unplugged))/"
)
# Beyond it a projection says nothing, and the calendar ends.
FAR_AWAY = timedelta(days=36_525)


def plan_walk(previous: Head | None, current: Head, is_previous_in_mirror: bool) -> Walk:
    """How much to read, by comparing heads of the commit graph; dates play no part.

    A changed mailmap can move every commit to another contributor, changed attributes lines to
    another class, a boundary that moved gives commits their parents and line counts back, and other
    rules of reading may give any commit another value: all need the whole graph again.
    """
    if previous is None or not is_previous_in_mirror:
        return Walk.FULL
    if previous.reading != current.reading:
        return Walk.FULL
    if previous.mailmap_hash != current.mailmap_hash:
        return Walk.FULL
    if previous.attributes_hash != current.attributes_hash:
        return Walk.FULL
    if previous.shallow_boundary != current.shallow_boundary:
        return Walk.FULL
    return Walk.NOTHING if previous.head_hash == current.head_hash else Walk.DELTA


def choose_source(
    facts: RepositoryFacts, path: str, max_mirror_megabytes: int, few_commits: int, new: int | None
) -> Source:
    """The way to read a repository whose head has moved.

    ``new`` is the number of commits it has and we lack, None where that is everything. GraphQL
    costs a point for a hundred commits, git costs none and a whole clone.
    """
    if path == "rest":
        return Source.REST
    if path == "graphql":
        return Source.GRAPHQL
    if (facts.disk_kilobytes or 0) > max_mirror_megabytes * 1_000:
        return Source.GRAPHQL
    return Source.GRAPHQL if new is not None and new <= few_commits else Source.GIT


def file_class(path: bytes, is_vendored: bool | None, is_generated: bool | None) -> FileClass:
    """Whose work a file is: what its repository says (``linguist-vendored`` and
    ``linguist-generated``; None where it says nothing), else what its path looks like."""
    if is_vendored:
        return FileClass.VENDORED
    if is_generated:
        return FileClass.GENERATED
    if is_vendored is None and VENDORED_FOLDER.search(path):
        return FileClass.VENDORED
    if is_generated is None and LOCK_FILE.search(path):
        return FileClass.LOCKED
    if is_generated is None and GENERATED_FILE.search(path):
        return FileClass.GENERATED
    return FileClass.OWN


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


def outlook(sizes: Sequence[DaySize], limit_bytes: int, warn_at: float) -> SizeOutlook:
    """What the last size, and the pace from the first to it, say of the limit.

    ``sizes`` are in the order of days, at least one; the warning begins at ``warn_at`` exactly.
    """
    first, last = sizes[0], sizes[-1]
    days = (last.day - first.day).days
    pace = (last.bytes - first.bytes) / days if days else None
    limit_on: date | None = None
    if last.bytes >= limit_bytes:
        limit_on = last.day
    elif pace is not None and pace > 0:
        left = (limit_bytes - last.bytes) / pace
        limit_on = last.day + timedelta(days=left) if left < FAR_AWAY.days else None
    return SizeOutlook(
        last.bytes, limit_bytes, pace, limit_on, is_warning=last.bytes >= warn_at * limit_bytes
    )
