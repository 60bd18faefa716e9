"""Commits and their contributors: one transaction per repository, so that a killed load leaves
nothing behind and readers see a sync whole or not at all."""

from collections.abc import Iterable

import psycopg
import psycopg.sql

from flows._shared.purged_postgres import read_purged
from flows.github_scraper.raw.adoption import refused_rows_are_told
from flows.github_scraper.raw.contributors import merge_contributors
from flows.github_scraper.raw.heads import advance_head
from flows.github_scraper.raw.people import follow_commits, note_rewritten, note_touched
from flows.github_scraper.raw.stage import PURGE_LOCK, PURGE_SCHEMA, copy_commits
from flows.github_scraper.raw.walks import drop_walk, is_begun
from flows.github_scraper.records import (
    Commit,
    Head,
    IncompleteWalkError,
    LoadCounts,
    Source,
    Walk,
    WalkState,
)

# Taken inside a transaction, from the moment a load touches rows that repositories share until
# it commits. Loads therefore commit in the order of their `updated_at`, which lets incremental
# models use it as an exact watermark. Roles that only read cannot take it, as an advisory one.
TAKE_MERGE_TURN = "lock table github_api.merge_turns in exclusive mode"

STAGE = """
create temporary table stage_commits (like github_api.walk_commits) on commit drop;
create temporary table stage_orphans (commit_hash text not null) on commit drop
"""

STAGE_COAUTHORS = """
create temporary table stage_coauthors on commit drop as
select stage_commits.commit_hash, coauthor.*
from stage_commits
cross join lateral jsonb_to_recordset(stage_commits.coauthors) as coauthor (
    position integer, identity_key text, username text, email text, account_id bigint,
    name_given text, email_given text, name_mapped text, email_mapped text
)
"""

# At the edge of a shallow clone a commit shows neither its parents nor its line counts: what an
# earlier, deeper clone loaded stays.
KEEP_COLLECTED = """
update stage_commits
set
    parent_hashes = loaded.parent_hashes,
    lines_added = loaded.lines_added,
    lines_deleted = loaded.lines_deleted,
    files_changed = loaded.files_changed,
    binary_files_changed = loaded.binary_files_changed
from public.commits as loaded
where
    stage_commits.lines_added is null
    and loaded.lines_added is not null
    and loaded.repository_id = %(repository_id)s
    and loaded.commit_hash = stage_commits.commit_hash
"""

MERGE_COMMITS = """
insert into public.commits as loaded (
    repository_id, contributor_id, identity_id, commit_hash, parent_hashes, commit_date,
    committed_at,
    author_epoch_seconds, author_utc_offset, committer_epoch_seconds, committer_utc_offset,
    is_date_clamped, author_name, author_email, author_name_mapped, author_email_mapped,
    committer_name, committer_email, committer_name_mapped, committer_email_mapped,
    commit_message, is_encoding_valid, lines_added, lines_deleted, files_changed,
    binary_files_changed, lines_added_vendored, lines_deleted_vendored, lines_added_generated,
    lines_deleted_generated, lines_added_locked, lines_deleted_locked,
    stats_error, source, created_at, updated_at
)
select
    %(repository_id)s, coalesce(merged_into, contributors.id), contributors.id, commit_hash,
    parent_hashes, commit_date, committed_at,
    author_epoch_seconds, author_utc_offset, committer_epoch_seconds, committer_utc_offset,
    is_date_clamped, author_name, author_email, author_name_mapped, author_email_mapped,
    committer_name, committer_email, committer_name_mapped, committer_email_mapped,
    commit_message, is_encoding_valid, lines_added, lines_deleted, files_changed,
    binary_files_changed, lines_added_vendored, lines_deleted_vendored, lines_added_generated,
    lines_deleted_generated, lines_added_locked, lines_deleted_locked,
    stats_error, %(source)s, %(now)s, %(now)s
from stage_commits
inner join public.contributors using (identity_key)
on conflict (repository_id, commit_hash) do update
set
    contributor_id = excluded.contributor_id,
    identity_id = excluded.identity_id,
    parent_hashes = excluded.parent_hashes,
    commit_date = excluded.commit_date,
    committed_at = excluded.committed_at,
    author_epoch_seconds = excluded.author_epoch_seconds,
    author_utc_offset = excluded.author_utc_offset,
    committer_epoch_seconds = excluded.committer_epoch_seconds,
    committer_utc_offset = excluded.committer_utc_offset,
    is_date_clamped = excluded.is_date_clamped,
    author_name = excluded.author_name,
    author_email = excluded.author_email,
    committer_name = excluded.committer_name,
    committer_email = excluded.committer_email,
    commit_message = excluded.commit_message,
    is_encoding_valid = excluded.is_encoding_valid,
    author_name_mapped = excluded.author_name_mapped,
    author_email_mapped = excluded.author_email_mapped,
    committer_name_mapped = excluded.committer_name_mapped,
    committer_email_mapped = excluded.committer_email_mapped,
    lines_added = excluded.lines_added,
    lines_deleted = excluded.lines_deleted,
    files_changed = coalesce(excluded.files_changed, loaded.files_changed),
    binary_files_changed = coalesce(excluded.binary_files_changed, loaded.binary_files_changed),
    -- The API does not tell them: what git told before stays.
    lines_added_vendored
    = coalesce(excluded.lines_added_vendored, loaded.lines_added_vendored),
    lines_deleted_vendored
    = coalesce(excluded.lines_deleted_vendored, loaded.lines_deleted_vendored),
    lines_added_generated
    = coalesce(excluded.lines_added_generated, loaded.lines_added_generated),
    lines_deleted_generated
    = coalesce(excluded.lines_deleted_generated, loaded.lines_deleted_generated),
    lines_added_locked
    = coalesce(excluded.lines_added_locked, loaded.lines_added_locked),
    lines_deleted_locked
    = coalesce(excluded.lines_deleted_locked, loaded.lines_deleted_locked),
    stats_error = case when excluded.lines_added is null then excluded.stats_error end,
    source = excluded.source,
    orphaned_at = null,
    updated_at = excluded.updated_at
where
    loaded.orphaned_at is not null
    or loaded.source = 'application'
    or (
        loaded.contributor_id, loaded.identity_id, loaded.parent_hashes,
        loaded.is_encoding_valid,
        loaded.author_name_mapped, loaded.author_email_mapped,
        loaded.committer_name_mapped, loaded.committer_email_mapped,
        loaded.lines_added, loaded.lines_deleted, loaded.files_changed,
        loaded.binary_files_changed,
        loaded.lines_added_vendored, loaded.lines_deleted_vendored,
        loaded.lines_added_generated, loaded.lines_deleted_generated,
        loaded.lines_added_locked, loaded.lines_deleted_locked,
        loaded.stats_error
    ) is distinct from (
        excluded.contributor_id, excluded.identity_id, excluded.parent_hashes,
        excluded.is_encoding_valid,
        excluded.author_name_mapped, excluded.author_email_mapped,
        excluded.committer_name_mapped, excluded.committer_email_mapped,
        excluded.lines_added, excluded.lines_deleted,
        coalesce(excluded.files_changed, loaded.files_changed),
        coalesce(excluded.binary_files_changed, loaded.binary_files_changed),
        coalesce(excluded.lines_added_vendored, loaded.lines_added_vendored),
        coalesce(excluded.lines_deleted_vendored, loaded.lines_deleted_vendored),
        coalesce(excluded.lines_added_generated, loaded.lines_added_generated),
        coalesce(excluded.lines_deleted_generated, loaded.lines_deleted_generated),
        coalesce(excluded.lines_added_locked, loaded.lines_added_locked),
        coalesce(excluded.lines_deleted_locked, loaded.lines_deleted_locked),
        case when excluded.lines_added is null then excluded.stats_error end
    )
"""

MERGE_COAUTHORS = """
insert into public.commit_coauthors as known (
    repository_id, commit_hash, position, contributor_id, identity_id, name, email, name_mapped,
    email_mapped, created_at
)
select
    %(repository_id)s, commit_hash, position, coalesce(merged_into, contributors.id),
    contributors.id, name_given, email_given, name_mapped, email_mapped, %(now)s
from stage_coauthors
inner join public.contributors using (identity_key)
on conflict (repository_id, commit_hash, position) do update
set
    contributor_id = excluded.contributor_id,
    identity_id = excluded.identity_id,
    name = excluded.name,
    email = excluded.email,
    name_mapped = excluded.name_mapped,
    email_mapped = excluded.email_mapped
where
    (
        known.contributor_id, known.identity_id, known.name, known.email, known.name_mapped,
        known.email_mapped
    )
    is distinct from (
        excluded.contributor_id, excluded.identity_id, excluded.name, excluded.email,
        excluded.name_mapped, excluded.email_mapped
    )
"""

# Two names that a mailmap makes one person leave one place behind.
FORGET_COAUTHORS = """
delete from public.commit_coauthors as known
using stage_commits
where
    known.repository_id = %(repository_id)s
    and known.commit_hash = stage_commits.commit_hash
    and not exists (
        select 1
        from stage_coauthors
        where
            stage_coauthors.commit_hash = known.commit_hash
            and stage_coauthors.position = known.position
    )
"""

# After a whole walk the stage holds every reachable commit: what it lacks is orphaned.
ORPHAN_UNSEEN = """
update public.commits
set orphaned_at = %(now)s, updated_at = %(now)s
where
    repository_id = %(repository_id)s
    and orphaned_at is null
    and not exists (
        select 1 from stage_commits where stage_commits.commit_hash = commits.commit_hash
    )
"""

ORPHAN_LISTED = """
update public.commits
set orphaned_at = %(now)s, updated_at = %(now)s
from stage_orphans
where
    commits.repository_id = %(repository_id)s
    and commits.commit_hash = stage_orphans.commit_hash
    and commits.orphaned_at is null
"""

# Reads the graph of the rows themselves, in which every commit's ancestors are loaded: exact
# also where GitHub has forgotten what the branch was before it was rewritten.
FOLLOW_GRAPH = """
with recursive reachable (commit_hash) as (
    select %(head_hash)s::text
    union
    select parent.commit_hash
    from reachable
    inner join public.commits
        on
            commits.repository_id = %(repository_id)s
            and commits.commit_hash = reachable.commit_hash
    cross join lateral unnest(commits.parent_hashes) as parent (commit_hash)
)

update public.commits
set
    orphaned_at = case when reachable.commit_hash is null then %(now)s::timestamptz end,
    updated_at = %(now)s
from public.commits as each_commit
left join reachable on each_commit.commit_hash = reachable.commit_hash
where
    each_commit.repository_id = %(repository_id)s
    and commits.repository_id = each_commit.repository_id
    and commits.commit_hash = each_commit.commit_hash
    and (each_commit.orphaned_at is null) <> (reachable.commit_hash is not null)
returning commits.orphaned_at is not null
"""


def load_walk(
    connection: psycopg.Connection,
    repository_id: int,
    url: str,
    walk: Walk,
    head: Head,
    commits: Iterable[Commit],
    orphans: Iterable[str],
    expected_commits: int,
    mailmap_text: str,
) -> LoadCounts:
    """Load one walk and advance the head, inside the caller's transaction.

    Raises:
        IncompleteWalkError: the stream gave another number of commits than the graph has.
    """
    connection.execute(STAGE)
    staged = copy_commits(connection, "stage_commits", repository_id, commits, mailmap_text)
    if staged != expected_commits:
        raise IncompleteWalkError(
            f"Loading {url}",
            f"git log gave {staged} commits where the graph has {expected_commits}",
            "Nothing was written; run again",
        )
    with connection.cursor().copy("copy stage_orphans from stdin") as copy:
        for commit_hash in orphans:
            copy.write_row((commit_hash,))
    with refused_rows_are_told(connection, f"Loading {url}"):
        written, parameters, notes = _merge(connection, repository_id, Source.GIT)
        orphaned = connection.execute(_orphaning(walk, head), parameters).rowcount
        _finish(connection, parameters, head)
    return LoadCounts(
        url, walk, commits_written=written, commits_orphaned=orphaned, notes=tuple(notes)
    )


def load_api_walk(
    connection: psycopg.Connection, repository_id: int, url: str, state: WalkState
) -> LoadCounts:
    """Load a complete walk over the API and advance the head, inside the caller's transaction."""
    connection.execute(STAGE)
    purged = read_purged(connection, PURGE_SCHEMA, PURGE_LOCK)
    if purged and not is_begun(connection, repository_id):
        raise IncompleteWalkError(
            f"Loading {url}",
            "somebody was purged while it was read, and what was read is gone",
            "Nothing was written; run again",
        )
    connection.execute(
        """
        insert into stage_commits
        select distinct on (commit_hash) *
        from github_api.walk_commits
        where repository_id = %s
        order by commit_hash
        """,
        (repository_id,),
    )
    with refused_rows_are_told(connection, f"Loading {url}"):
        written, parameters, notes = _merge(connection, repository_id, state.source)
        orphaned = 0
        if state.is_rewritten:
            graph = parameters | {"head_hash": state.head.head_hash}
            orphaned = sum(row[0] for row in connection.execute(FOLLOW_GRAPH, graph))
        _finish(connection, parameters, state.head)
    drop_walk(connection, repository_id)
    return LoadCounts(
        url,
        state.walk,
        commits_written=written,
        commits_orphaned=orphaned,
        source=state.source,
        notes=tuple(notes),
    )


def _merge(
    connection: psycopg.Connection, repository_id: int, source: Source
) -> tuple[int, dict[str, object], list[str]]:
    """Merge the stage; returns the rows written, the parameters that later steps take, and what a
    person should know."""
    connection.execute(STAGE_COAUTHORS)
    connection.execute("analyze stage_commits")
    connection.execute(TAKE_MERGE_TURN)
    now = connection.execute("select clock_timestamp()").fetchone()
    assert now is not None
    parameters = {"repository_id": repository_id, "now": now[0], "source": source.value}
    notes = merge_contributors(connection, parameters)
    connection.execute(KEEP_COLLECTED, parameters)
    note_touched(connection, parameters)
    written = connection.execute(MERGE_COMMITS, parameters).rowcount
    connection.execute(FORGET_COAUTHORS, parameters)
    connection.execute(MERGE_COAUTHORS, parameters)
    return written, parameters, notes


def _finish(connection: psycopg.Connection, parameters: dict[str, object], head: Head) -> None:
    note_rewritten(connection, parameters)
    connection.execute(
        "select public.recount_contributions(array[%(repository_id)s]::bigint[])", parameters
    )
    follow_commits(connection, parameters)
    advance_head(connection, parameters, head)


def _orphaning(walk: Walk, head: Head) -> str:
    """A shallow clone cannot tell an orphan from a commit below its boundary."""
    is_complete = walk is Walk.FULL and not head.shallow_boundary
    return ORPHAN_UNSEEN if is_complete else ORPHAN_LISTED
