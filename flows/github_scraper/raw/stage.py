"""A commit as the row that loads merge from: everything decided, nothing merged."""

from collections.abc import Iterable

import psycopg
import psycopg.sql
from psycopg.types.json import Jsonb

from flows._shared.purged_postgres import read_purged
from flows.github_scraper.records import Commit
from flows.github_scraper.rules import (
    Mailmap,
    coauthors,
    commit_dates,
    identify,
    name_of_address,
    without_purged,
)

# Held by every load until its commit, and by a purge alone.
PURGE_LOCK = 7_310_004
PURGE_SCHEMA = "github_api"


def copy_commits(
    connection: psycopg.Connection,
    table: str,
    repository_id: int,
    commits: Iterable[Commit],
    mailmap_text: str,
) -> int:
    """Write commits as they are kept: within a transaction, as people may be purged meanwhile."""
    staged = 0
    mailmap = Mailmap(mailmap_text)
    purged = read_purged(connection, PURGE_SCHEMA, PURGE_LOCK, name_of_address)
    target = psycopg.sql.SQL("copy {} from stdin").format(psycopg.sql.Identifier(*table.split(".")))
    with connection.cursor().copy(target) as copy:
        for commit in commits:
            if purged:
                commit = without_purged(purged, commit, mailmap, repository_id)
            copy.write_row((repository_id, *_stage_row(repository_id, commit, mailmap)))
            staged += 1
    return staged


def _stage_row(repository_id: int, commit: Commit, mailmap: Mailmap) -> tuple[object, ...]:
    author, committer, counts = commit.author, commit.committer, commit.line_counts
    identity = identify(author.name_mapped, author.email_mapped, repository_id)
    dates = commit_dates(author, committer)
    people = [
        {
            "position": position,
            "identity_key": person.key,
            "username": person.username,
            "email": person.email,
            "account_id": person.account_id,
            "name_given": given.name,
            "email_given": given.email,
            "name_mapped": mapped.name,
            "email_mapped": mapped.email,
        }
        for position, (given, mapped, person) in enumerate(
            coauthors(commit.message, mailmap, repository_id), start=1
        )
    ]
    return (
        commit.commit_hash,
        list(commit.parent_hashes),
        identity.key,
        identity.username,
        identity.email,
        identity.account_id,
        dates.commit_date,
        dates.committed_at,
        author.epoch_seconds,
        author.utc_offset,
        committer.epoch_seconds,
        committer.utc_offset,
        dates.is_clamped,
        author.name,
        author.email,
        author.name_mapped,
        author.email_mapped,
        committer.name,
        committer.email,
        committer.name_mapped,
        committer.email_mapped,
        commit.message,
        commit.is_encoding_valid,
        counts and counts.lines_added,
        counts and counts.lines_deleted,
        counts and counts.files_changed,
        counts and counts.binary_files_changed,
        commit.stats_error,
        Jsonb(people) if people else None,
        *((counts and counts.not_own) or (None,) * 6),
    )
