"""Walks over the API that have begun: their pages, and where the next one starts."""

from collections.abc import Collection
from dataclasses import replace

import psycopg
import psycopg.sql

from flows.github_scraper.raw.stage import copy_commits
from flows.github_scraper.records import CommitPage, Head, Source, Walk, WalkState


def read_walk(connection: psycopg.Connection, repository_id: int) -> WalkState | None:
    """The walk over the API that has begun and is not loaded yet."""
    row = connection.execute(
        """
        select
            walk, source, ref, head_hash, mailmap_hash, reading, base_hash, mailmap, expected,
            is_rewritten, position, pages, is_complete
        from github_api.walks
        where repository_id = %s
        """,
        (repository_id,),
    ).fetchone()
    if row is None:
        return None
    walk, source, ref, head_hash, mailmap_hash, reading, *rest = row
    head = Head(ref, head_hash, mailmap_hash, reading=reading)
    return WalkState(Walk(walk), Source(source), head, *rest)


def start_walk(connection: psycopg.Connection, repository_id: int, state: WalkState) -> None:
    """Begin a walk; what an earlier one left is dropped."""
    with connection.transaction():
        drop_walk(connection, repository_id)
        connection.execute(
            """
            insert into github_api.walks (
                repository_id, walk, source, ref, head_hash, mailmap_hash, reading, mailmap,
                base_hash, expected, is_rewritten, started_at, updated_at
            )
            values (
                %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp(), clock_timestamp()
            )
            """,
            (
                repository_id, state.walk.value, state.source.value, state.head.ref,
                state.head.head_hash, state.head.mailmap_hash, state.head.reading,
                state.mailmap.replace("\0", ""),
                state.base_hash, state.expected, state.is_rewritten,
            ),
        )  # fmt: skip


def save_page(
    connection: psycopg.Connection, repository_id: int, state: WalkState, page: CommitPage
) -> WalkState:
    """Keep one page and where the next begins, in one transaction: a page is never lost, and
    only one that was under way is fetched again."""
    advanced = replace(
        state,
        position=page.position,
        pages=state.pages + 1,
        is_complete=page.position is None,
    )
    with connection.transaction():
        copy_commits(
            connection, "github_api.walk_commits", repository_id, page.commits, state.mailmap
        )
        connection.execute(
            """
            update github_api.walks
            set
                position = %s, pages = %s, is_complete = %s, updated_at = clock_timestamp()
            where repository_id = %s
            """,
            (advanced.position, advanced.pages, advanced.is_complete, repository_id),
        )
    return advanced


def close_walk(connection: psycopg.Connection, repository_id: int, state: WalkState) -> WalkState:
    """Mark a walk as complete although GitHub has more pages: nothing unseen is left."""
    connection.execute(
        "update github_api.walks set is_complete = true where repository_id = %s",
        (repository_id,),
    )
    return replace(state, is_complete=True)


def is_begun(connection: psycopg.Connection, repository_id: int) -> bool:
    """Whether what was read of a walk is still there."""
    found = connection.execute(
        "select 1 from github_api.walks where repository_id = %s", (repository_id,)
    )
    return found.fetchone() is not None


def drop_walk(connection: psycopg.Connection, repository_id: int) -> None:
    for table in ("walk_commits", "walks"):
        connection.execute(
            psycopg.sql.SQL("delete from github_api.{} where repository_id = %s").format(
                psycopg.sql.Identifier(table)
            ),
            (repository_id,),
        )


def frontier(connection: psycopg.Connection, repository_id: int) -> tuple[set[str], set[str]]:
    """The commits of a begun walk, and their parents that are neither in it nor loaded."""
    seen = connection.execute(
        "select commit_hash from github_api.walk_commits where repository_id = %s",
        (repository_id,),
    )
    return {row[0] for row in seen}, set(_unseen_parents(connection, repository_id))


def loaded_among(
    connection: psycopg.Connection, repository_id: int, hashes: Collection[str]
) -> set[str]:
    """Those of the given commits that are loaded already."""
    rows = connection.execute(
        "select commit_hash from public.commits where repository_id = %s and commit_hash = any(%s)",
        (repository_id, list(hashes)),
    )
    return {row[0] for row in rows}


def walked(connection: psycopg.Connection, repository_id: int) -> tuple[int, int]:
    """How many commits a walk has, and how many of their parents are neither in it nor loaded."""
    row = connection.execute(
        "select count(distinct commit_hash) from github_api.walk_commits where repository_id = %s",
        (repository_id,),
    ).fetchone()
    assert row is not None
    return int(row[0]), len(_unseen_parents(connection, repository_id))


def _unseen_parents(connection: psycopg.Connection, repository_id: int) -> list[str]:
    rows = connection.execute(
        """
        select distinct parent.commit_hash
        from github_api.walk_commits as walked
        cross join lateral unnest(walked.parent_hashes) as parent (commit_hash)
        where
            walked.repository_id = %(repository_id)s
            and not exists (
                select 1
                from github_api.walk_commits as other
                where
                    other.repository_id = %(repository_id)s
                    and other.commit_hash = parent.commit_hash
            )
            and not exists (
                select 1
                from public.commits
                where
                    commits.repository_id = %(repository_id)s
                    and commits.commit_hash = parent.commit_hash
            )
        """,
        {"repository_id": repository_id},
    )
    return [row[0] for row in rows]
