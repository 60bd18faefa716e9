"""Commits of the GitHub scraper's marts, and of git itself."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO

import psycopg

from flows.agent_analytics.records import Commit, GitReadError, MartsMissingError, Rejected

READ_BYTES = 1 << 20
# Of a longer message, the beginning.
MOST_BYTES = 1 << 20
GIT_FORMAT = "%H%x00%an%x00%ae%x00%ct%x00%B%x00"
# What people set for their own eyes would stand between the fields, or leave some out. A clone that
# lacks objects asks for them where its own configuration says, which may be a program.
SET = {
    "log.showRoot": "true",
    "log.showSignature": "false",
    "protocol.ext.allow": "never",
}
OBJECT_ID = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
NUMSTAT = re.compile(rb"\n?(\d+|-)\t(\d+|-)\t(.*)", re.DOTALL)
EPOCH = datetime(1970, 1, 1)
NO_DATE = "the commit has no date, or one that no calendar has"
# A commit that several repositories have is told of the first of them.
MART_COMMITS = """
with co_authors as (
    select
        coauthored.repository_id, coauthored.commit_hash,
        string_agg(
            concat_ws(' @', contributors.display_name, contributors.email_domain), E'\\n'
            order by contributors.contributor_id
        ) as co_authors
    from analytics.int_coauthored_commits as coauthored
    inner join analytics.dim_contributor as contributors using (contributor_id)
    where contributors.is_agent
    group by coauthored.repository_id, coauthored.commit_hash
)
select
    commit_hash, authors.display_name, extract(epoch from commits.commit_date),
    commits.files_changed, commits.lines_added, commits.lines_deleted,
    coalesce(lower(authors.username), 'contributor ' || contributor_id),
    repositories.repo_name, co_authors.co_authors
from analytics.int_commits as commits
inner join analytics.dim_contributor as authors using (contributor_id)
inner join analytics.dim_repository as repositories using (repository_id)
left join co_authors using (repository_id, commit_hash)
where commits.is_first_copy
"""


def mart_commits(connection: psycopg.Connection) -> Iterator[Commit | Rejected]:
    """Commits of the GitHub scraper's marts, each hash once; streamed.

    The marts keep neither messages nor addresses: authors are known by their login, agents among
    the co-authors by the name and the domain of the address in the trailer.

    Raises:
        MartsMissingError: the marts are not built there.
    """
    exists = connection.execute("select to_regclass('analytics.int_commits')").fetchone()
    if exists == (None,):
        raise MartsMissingError(
            "Reading commits from the GitHub scraper's marts",
            "there is no analytics.int_commits in that database",
            "Run the flow github-scraper first, or clear `github_block` in the settings",
        )
    with connection.transaction(), connection.cursor("github_commits") as rows:
        rows.itersize = 5_000
        for row in rows.execute(MART_COMMITS):
            if (committed_at := _moment(row[2])) is None:
                yield Rejected("commits", NO_DATE, f"{row[0]} of {row[6]} at {row[2]}")
                continue
            yield Commit(
                commit_hash=row[0],
                message="",
                author_name=row[1],
                author_email="",
                committed_at=committed_at,
                files_changed=row[3],
                lines_added=row[4],
                lines_deleted=row[5],
                developer_id=row[6],
                project_id=row[7],
                co_authors=row[8],
            )


def git_commits(repository: Path, since: datetime | None = None) -> Iterator[Commit | Rejected]:
    """Commits of every branch of a local repository, with line counts; merges count none.

    Whoever commits writes the message, the name and the date: any bytes but NUL.

    Raises:
        GitReadError: git fails; what was yielded before is a part only.
    """
    settings = chain.from_iterable(("-c", f"{name}={value}") for name, value in SET.items())
    command = ["git", *settings, "-C", str(repository), "log", "--all", "-z", "--numstat"]
    command += ["--no-color", "--encoding=UTF-8", f"--format={GIT_FORMAT}"]
    if since:
        command.append(f"--since={since.isoformat()}")
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as git,
    ):
        assert git.stdout is not None
        yield from _logged(_fields(git.stdout), repository.name.removesuffix(".git"))
        status = git.wait()
        complaints.seek(0)
        seen = complaints.read().decode("utf-8", "replace").strip()
    if status:
        raise _unread(repository, seen or f"git ended with {status}")


def _unread(repository: Path | str, seen: str) -> GitReadError:
    return GitReadError(
        f"Reading the commits of {repository}",
        seen,
        "Check that the path is a git repository that this user may read",
    )


def _logged(fields: Iterator[bytes], project: str) -> Iterator[Commit | Rejected]:
    """A commit is the fields of the format and one that is empty; then, for each file that it
    changes, counts with a path, or with none and two paths behind them."""
    field = next(fields, None)
    while field is not None:
        if not OBJECT_ID.fullmatch(field):
            raise _unread(project, f"{field[:80]!r} stands where a commit should")
        header = [field, *(next(fields, b"") for _ in range(4))]
        next(fields, None)
        files = added = deleted = 0
        field = next(fields, None)
        while field is not None and (counts := NUMSTAT.fullmatch(field)):
            files += 1
            added += int(counts[1]) if counts[1] != b"-" else 0
            deleted += int(counts[2]) if counts[2] != b"-" else 0
            if not counts[3]:
                next(fields, None)
                next(fields, None)
            field = next(fields, None)
        commit_hash, name, email, seconds, message = (
            each.decode("utf-8", "replace") for each in header
        )
        if (committed_at := _moment(Decimal(seconds) if seconds else None)) is None:
            yield Rejected("commits", NO_DATE, f"{commit_hash} of {email} at {seconds}")
            continue
        yield Commit(
            commit_hash=commit_hash,
            message=message.strip(),
            author_name=name,
            author_email=email,
            committed_at=committed_at,
            files_changed=files,
            lines_added=added,
            lines_deleted=deleted,
            project_id=project,
        )


def _fields(output: IO[bytes]) -> Iterator[bytes]:
    """What ends with a NUL each, cut to as many bytes as are kept; git ends its last so, too."""
    held = bytearray()
    while block := output.read(READ_BYTES):
        first, *others = block.split(b"\0")
        held += first[: MOST_BYTES - len(held)]
        if others:
            yield bytes(held)
            yield from others[:-1]
            held = bytearray(others[-1])


def _moment(seconds: Decimal | None) -> datetime | None:
    """UTC without an offset; nothing where no calendar has it."""
    if seconds is None or not seconds.is_finite():
        return None
    try:
        return EPOCH + timedelta(microseconds=int(seconds * 1_000_000))
    except OverflowError:
        return None
