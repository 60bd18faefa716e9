"""Commits as ``git log`` tells them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO

from flows.github_scraper.records import (
    Commit,
    FileClass,
    LineCounts,
    MirrorBrokenError,
    NotOwnLines,
    Signature,
)

READ_BYTES = 1 << 20
HEADER_FORMAT = (
    "%H%x00%P%x00%an%x00%ae%x00%aN%x00%aE%x00%ad%x00%cn%x00%ce%x00%cN%x00%cE%x00%cd%x00%B%x00"
)
HEADER_FIELDS = 13
NOT_OWN = (FileClass.VENDORED, FileClass.GENERATED, FileClass.LOCKED)
NUMSTAT = re.compile(rb"\n?(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)
OBJECT_ID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})")


def parse_log(
    output: IO[bytes],
    objects: IO[bytes],
    shallow_boundary: frozenset[str],
    classify: Callable[[bytes], FileClass],
) -> Iterator[Commit]:
    """Commits from ``git log -z --numstat`` with HEADER_FORMAT, whose fields end with NUL.

    ``objects`` are the same commits in the same order from ``git cat-file --batch``: git log ends
    a commit at its first NUL and says nothing.

    A commit is its header fields, one empty field, then per changed file
    ``added TAB deleted TAB path``; a rename has an empty path and two more fields. Neither an
    object id nor a header field can look like a counts field where one is expected.
    """
    told = fields(output)
    field = next(told, None)
    while field is not None:
        if not OBJECT_ID.fullmatch(field):
            raise _broken("log", f"{field[:80]!r} stands where a commit should")
        header = [field, *(_more(told) for _ in range(HEADER_FIELDS - 1))]
        is_cut = _holds_nul(objects, field)
        next(told, None)
        added = deleted = files = binary = 0
        by_class: Counter[tuple[FileClass, int]] = Counter()
        field = next(told, None)
        while field is not None and (match := NUMSTAT.fullmatch(field)):
            files += 1
            path = match[3]
            if not path:
                _more(told)
                path = _more(told)
            if match[1] == b"-":
                binary += 1
            else:
                lines = int(match[1]), int(match[2])
                added += lines[0]
                deleted += lines[1]
                if (kind := classify(path)) is not FileClass.OWN:
                    by_class[kind, 0] += lines[0]
                    by_class[kind, 1] += lines[1]
            field = next(told, None)
        not_own = NotOwnLines(*(by_class[kind, side] for kind in NOT_OWN for side in (0, 1)))
        counts = LineCounts(added, deleted, files, binary, not_own)
        yield _commit(header, counts, shallow_boundary, is_cut)
    if objects.read(1):
        raise _broken("cat-file", "it has more commits than git log")


def _more(fields: Iterator[bytes]) -> bytes:
    field = next(fields, None)
    if field is None:
        raise _broken("log", "it ends in the midst of a commit")
    return field


def _holds_nul(objects: IO[bytes], commit_hash: bytes) -> bool:
    """Whether the next object, which is that commit, holds a NUL: read by parts."""
    told = objects.readline().split()
    if told[:2] != [commit_hash, b"commit"] or len(told) != 3 or not told[2].isdigit():
        raise _broken("cat-file", f"{told!r} stands where the commit {commit_hash!r} should")
    left, found = int(told[2]), False
    while left:
        part = objects.read(min(left, READ_BYTES))
        if not part:
            raise _broken("cat-file", "it ends in the midst of a commit")
        found = found or b"\0" in part
        left -= len(part)
    objects.readline()
    return found


def _broken(verb: str, seen: str) -> MirrorBrokenError:
    return MirrorBrokenError(f"Reading git {verb}", seen, "The mirror is dropped and cloned again")


def _commit(
    header: list[bytes], counts: LineCounts, shallow_boundary: frozenset[str], is_cut: bool
) -> Commit:
    text = [field.decode("utf-8", "replace") for field in header]
    commit_hash = text[0]
    return Commit(
        commit_hash=commit_hash,
        parent_hashes=tuple(text[1].split()),
        author=_signature(text[2:7]),
        committer=_signature(text[7:12]),
        # GitHub's API tells messages without the line break that most of them end with.
        message=text[12].rstrip(),
        is_encoding_valid=not is_cut and not any("\ufffd" in field for field in text),
        # Cut off from its parents, a commit shows its whole tree as added.
        line_counts=None if commit_hash in shallow_boundary else counts,
    )


def _signature(fields: list[str]) -> Signature:
    name, email, name_mapped, email_mapped, date = fields
    # git 2.39 leaves these two placeholders unexpanded where the header line is empty.
    if name_mapped == "%aN" or name_mapped == "%cN":
        name_mapped = name
    if email_mapped == "%aE" or email_mapped == "%cE":
        email_mapped = email
    seconds, _, offset = date.partition(" ")
    epoch_seconds = int(seconds) if re.fullmatch(r"-?\d+", seconds) else None
    return Signature(name, email, name_mapped, email_mapped, epoch_seconds, offset)


def fields(output: IO[bytes]) -> Iterator[bytes]:
    """What stands between NULs."""
    rest: list[bytes] = []
    while chunk := output.read(READ_BYTES):
        first, *others = chunk.split(b"\0")
        rest.append(first)
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest = [others[-1]]
    if tail := b"".join(rest):
        yield tail
