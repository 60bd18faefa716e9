"""Commits of the GitHub scraper's marts, and of git itself."""

import io
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from flows.agent_analytics.records import Commit, GitReadError, MartsMissingError

BLOCK_CHARACTERS = 1 << 20
UNIT, RECORD = "\x1f", "\x1e"
GIT_FORMAT = f"{RECORD}%H{UNIT}%an{UNIT}%ae{UNIT}%ct{UNIT}%B{UNIT}"
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
    group by coauthored.repository_id, coauthored.commit_hash
)
select
    commit_hash, authors.display_name, commits.commit_date,
    commits.files_changed, commits.lines_added, commits.lines_deleted,
    coalesce(lower(authors.username), 'contributor ' || contributor_id),
    repositories.repo_name, co_authors.co_authors
from analytics.int_commits as commits
inner join analytics.dim_contributor as authors using (contributor_id)
inner join analytics.dim_repository as repositories using (repository_id)
left join co_authors using (repository_id, commit_hash)
where commits.is_first_copy
"""


def mart_commits(connection: psycopg.Connection) -> Iterator[Commit]:
    """Commits of the GitHub scraper's marts, each hash once; streamed.

    The marts keep neither messages nor addresses: authors are known by their login, co-authors by
    the name and the domain of the address in the trailer.

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
            yield Commit(
                commit_hash=row[0],
                message="",
                author_name=row[1],
                author_email="",
                committed_at=row[2].astimezone(UTC).replace(tzinfo=None),
                files_changed=row[3],
                lines_added=row[4],
                lines_deleted=row[5],
                developer_id=row[6],
                project_id=row[7],
                co_authors=row[8],
            )


def git_commits(repository: Path, since: datetime | None = None) -> Iterator[Commit]:
    """Commits of every branch of a local repository, with line counts; merges count none.

    Raises:
        GitReadError: git fails; what was yielded before is a part only.
    """
    command = ["git", "-C", str(repository), "log", "--all", "--numstat", f"--format={GIT_FORMAT}"]
    if since:
        command.append(f"--since={since.isoformat()}")
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as git,
    ):
        assert git.stdout is not None
        # Only "\n" ends a line here: universal newlines would change messages.
        text = io.TextIOWrapper(git.stdout, encoding="utf-8", errors="replace", newline="\n")
        for record in _records(text):
            yield _git_commit(record, repository.name.removesuffix(".git"))
        status = git.wait()
        complaints.seek(0)
        seen = complaints.read().decode("utf-8", "replace").strip()
    if status:
        raise GitReadError(
            f"Reading the commits of {repository}",
            seen or f"git ended with {status}",
            "Check that the path is a git repository that this user may read",
        )


def _records(stream: io.TextIOWrapper) -> Iterator[str]:
    held = ""
    while block := stream.read(BLOCK_CHARACTERS):
        *whole, held = (held + block).split(RECORD)
        yield from (record for record in whole if record)
    if held:
        yield held


def _git_commit(record: str, project: str) -> Commit:
    commit_hash, name, email, seconds, message, counts = record.split(UNIT, 5)
    files = [line.split("\t") for line in counts.splitlines() if line.count("\t") >= 2]
    return Commit(
        commit_hash=commit_hash,
        message=message.strip(),
        author_name=name,
        author_email=email,
        committed_at=datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None),
        files_changed=len(files),
        lines_added=sum(int(added) for added, *_ in files if added.isdecimal()),
        lines_deleted=sum(int(deleted) for _, deleted, *_ in files if deleted.isdecimal()),
        project_id=project,
    )
