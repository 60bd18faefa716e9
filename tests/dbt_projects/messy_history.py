"""Raw rows of the GitHub scraper with every mess it can meet, from a seed."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

AS_OF = datetime(2024, 6, 30, tzinfo=UTC)
FIRST_SYNC = datetime(2024, 7, 1, 6, tzinfo=UTC)
SECOND_SYNC = datetime(2024, 7, 4, 6, tzinfo=UTC)

PARENT, FORK, OTHER, EMPTY, BOTS_ONLY = 1, 2, 3, 4, 5
PEOPLE = (1, 2, 3, 4, 5, 6)
BOTS = (7, 8)
SUBJECTS = (
    *("feat: a", "fix(api)!: b", "Merge branch 'x'", "chore(deps): bump", "no type", ""),
    *("\nFix: typo\r\n\nbody", "docs( ): d\n\nBREAKING-CHANGE: e", 'Revert "feat: a"'),
)


@dataclass(frozen=True)
class Commit:
    repository_id: int
    contributor_id: int
    commit_hash: str
    commit_date: datetime
    parents: int
    lines_added: int | None
    lines_deleted: int | None
    message: str
    coauthors: tuple[int, ...] = ()
    is_clamped: bool = False
    orphaned_at: datetime | None = None
    created_at: datetime = FIRST_SYNC
    updated_at: datetime = FIRST_SYNC

    @property
    def is_merge(self) -> bool:
        return self.parents > 1

    @property
    def lines_vendored(self) -> int | None:
        """None where the way of reading told no file classes."""
        is_told = self.lines_added is not None and int(self.commit_hash, 16) % 5
        return self.lines_added // 3 if is_told and self.lines_added is not None else None

    @property
    def counted_lines_added(self) -> int | None:
        if self.lines_added is None or self.lines_vendored is None:
            return None
        return self.lines_added - self.lines_vendored

    @property
    def is_plausible(self) -> bool:
        return (
            not self.is_clamped
            and self.commit_date.year >= 1990
            and self.commit_date <= self.created_at + timedelta(days=1)
        )


def history(seed: int, size: int) -> list[Commit]:
    """`size` commits of the parent and the other repository, and copies of a part in the fork."""
    dice = random.Random(seed)
    commits = [_commit(dice, number) for number in range(size)]
    copies = [
        replace(commit, repository_id=FORK)
        for commit in commits
        if commit.repository_id == PARENT and dice.random() < 0.4
    ]
    bots = [
        replace(_commit(dice, size + number), repository_id=BOTS_ONLY, contributor_id=BOTS[0])
        for number in range(5)
    ]
    return commits + copies + bots


def _commit(dice: random.Random, number: int) -> Commit:
    days_back = min(int(dice.expovariate(1 / 60)), 900)
    date = AS_OF + timedelta(hours=23) - timedelta(days=days_back, minutes=dice.randrange(1440))
    odd = dice.random()
    if odd < 0.02:
        date = datetime(2099, 1, 1, tzinfo=UTC)
    elif odd < 0.04:
        date = datetime(1970, 1, 1, tzinfo=UTC)
    is_collected = dice.random() < 0.9
    author = dice.choices(PEOPLE + BOTS, weights=(40, 20, 10, 5, 3, 1, 10, 5))[0]
    return Commit(
        repository_id=dice.choice((PARENT, PARENT, OTHER)),
        contributor_id=author,
        commit_hash=f"{number:040x}",
        commit_date=date,
        parents=dice.choices((0, 1, 2, 3), weights=(1, 80, 15, 1))[0],
        lines_added=dice.randrange(500) if is_collected else None,
        lines_deleted=dice.randrange(300) if is_collected else None,
        message=dice.choice(SUBJECTS),
        coauthors=tuple(dice.sample(PEOPLE, k=2)) if dice.random() < 0.1 else (),
        is_clamped=0.04 < odd < 0.05,
        orphaned_at=FIRST_SYNC if dice.random() < 0.05 else None,
    )


def load(url: str, commits: Iterable[Commit]) -> None:
    """Replace everything in the raw tables, as if the loader had come to exactly this state."""
    commits = list(commits)
    with psycopg.connect(url) as connection:
        connection.execute(
            "truncate repositories, contributors, commits, commit_coauthors, organization_domains,"
            " repository_contributors, repository_heads cascade"
        )
        with connection.cursor().copy(
            "copy repositories (id, url, state, last_processed_at) from stdin"
        ) as copy:
            known = {PARENT, FORK, OTHER, EMPTY, BOTS_ONLY}
            for repository in sorted(known | {commit.repository_id for commit in commits}):
                url_of = f"https://example.org/owner/{repository}.git"
                copy.write_row((repository, url_of, "completed", FIRST_SYNC))
        with connection.cursor().copy(
            "copy contributors (id, identity_key, username, email, display_name) from stdin"
        ) as copy:
            for person in PEOPLE:
                copy.write_row((person, f"email:{person}@x.org", None, f"{person}@x.org", "Ann"))
            copy.write_row((7, "login:renovate[bot]", "renovate[bot]", None, "renovate"))
            copy.write_row((8, "name:action", None, "action@github.com", "CI"))
            copy.write_row((9, "email:gone@x.org", None, "gone@x.org", "Gone"))
        connection.execute(
            "insert into repository_metadata (repository_id, name_with_owner, stars, forks,"
            " licence, topics, languages, is_archived, is_fork, is_private, updated_at)"
            " values (%s, 'owner/parent', 12, 3, 'MIT', array['b', 'a'],"
            ' \'{"SQL": 10, "Python": 90}\', false, false, false, %s)',
            (PARENT, FIRST_SYNC),
        )
        connection.execute(
            "insert into repository_heads (repository_id, ref, head_hash)"
            " select id, 'refs/heads/main', 'a' from repositories where id <> %s",
            (EMPTY,),
        )
        _copy_commits(connection, commits)
        connection.execute(
            "insert into organization_domains (domain, organization, valid_from, valid_to) values"
            " ('x.org', 'X', null, '2024-05-01'), ('x.org', 'Y', '2024-05-01', null)"
        )
        connection.execute(
            "insert into repository_contributors (repository_id, contributor_id, commit_count)"
            " select repository_id, contributor_id, count(*) from commits"
            " where orphaned_at is null group by 1, 2"
        )


def _copy_commits(connection: psycopg.Connection, commits: list[Commit]) -> None:
    columns = (
        "repository_id, contributor_id, identity_id, commit_hash, parent_hashes,"
        " commit_date, committed_at,"
        " author_epoch_seconds, author_utc_offset, committer_epoch_seconds, committer_utc_offset,"
        " is_date_clamped, author_name, author_email, author_name_mapped, author_email_mapped,"
        " committer_name, committer_email, committer_name_mapped, committer_email_mapped,"
        " commit_message, is_encoding_valid, lines_added, lines_deleted, files_changed,"
        " binary_files_changed, lines_added_vendored, lines_deleted_vendored,"
        " lines_added_generated, lines_deleted_generated, lines_added_locked, lines_deleted_locked,"
        " source, orphaned_at, created_at, updated_at"
    )
    with connection.cursor().copy(f"copy commits ({columns}) from stdin".encode()) as copy:
        for commit in commits:
            epoch = int(commit.commit_date.timestamp())
            copy.write_row(
                (
                    commit.repository_id,
                    *(commit.contributor_id, commit.contributor_id),
                    commit.commit_hash,
                    [f"p{number}" for number in range(commit.parents)],
                    *(commit.commit_date, commit.commit_date),
                    *(epoch, "+0000", epoch, "+0000", commit.is_clamped),
                    *("name", "email") * 4,
                    *(commit.message, True, commit.lines_added, commit.lines_deleted),
                    *(None if commit.lines_added is None else 1, 0),
                    *(commit.lines_vendored, *(None if commit.lines_vendored is None else 0,) * 5),
                    "git",
                    *(commit.orphaned_at, commit.created_at, commit.updated_at),
                )
            )
    with connection.cursor().copy(
        "copy commit_coauthors"
        " (repository_id, commit_hash, position, contributor_id, identity_id, name, email)"
        " from stdin"
    ) as copy:
        for commit in commits:
            for position, coauthor in enumerate(commit.coauthors):
                key = (commit.repository_id, commit.commit_hash, position)
                copy.write_row((*key, coauthor, coauthor, "name", "email"))
