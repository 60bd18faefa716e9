"""Repositories: their addresses, states, names over time, and what GitHub says of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import psycopg

from flows.github_scraper.raw.adoption import refused_rows_are_told
from flows.github_scraper.records import (
    READING,
    KnownRepository,
)
from flows.github_scraper.rules import repository_path_name

# A repository is missing once GitHub has denied it twice, this long apart.
CONFIRM_AFTER = timedelta(hours=1)
ATTEMPTS_OF_A_NEW_REPOSITORY = 3
KNOWN = """
select repositories.id, url, github_id, node_id, repository_metadata.details_observed_at
from public.repositories
left join public.repository_metadata on repository_metadata.repository_id = repositories.id
"""


def register_repository(connection: psycopg.Connection, url: str) -> int:
    """The id of a repository, known from now on."""
    known = connection.execute(
        "select id from public.repositories where url = %s and named_by = 'run'", (url,)
    )
    if (row := known.fetchone()) is None:
        with refused_rows_are_told(connection, f"Registering {url}"):
            row = connection.execute(
                """
                insert into public.repositories (url, path_name, named_by) values (%s, %s, 'run')
                on conflict (url) do update set named_by = excluded.named_by
                returning id
                """,
                (url, repository_path_name(url)),
            ).fetchone()
    assert row is not None
    return int(row[0])


def known_urls(connection: psycopg.Connection) -> list[str]:
    """Repositories that a run without a list of its own looks after.

    Paused and retired ones are not among them, nor one that never loaded and failed for good
    several times, such as a mistyped address, nor a folder of this machine that no person named.
    """
    rows = connection.execute(
        """
        select url from public.repositories
        where
            paused_at is null
            and retired_at is null
            and (named_by = 'run' or url not like '/%%')
            and url not like 'withheld:%%'
            and (last_processed_at is not null or state <> 'failed' or failed_attempts < %s)
        order by id
        """,
        (ATTEMPTS_OF_A_NEW_REPOSITORY,),
    )
    return [row[0] for row in rows]


def record_failure(
    connection: psycopg.Connection, url: str, message: str, *, is_permanent: bool
) -> None:
    """Keep why a repository did not load; after a passing trouble it waits for the next run."""
    connection.execute(
        """
        update public.repositories
        set
            state = %s,
            error_message = %s,
            failed_attempts = failed_attempts + %s,
            last_attempt_at = now(),
            updated_at = now()
        where url = %s
        """,
        ("failed" if is_permanent else "pending", message, int(is_permanent), url),
    )


def record_start(connection: psycopg.Connection, repository_id: int) -> None:
    connection.execute(
        """
        update public.repositories
        set state = 'in_progress', last_attempt_at = now(), updated_at = now()
        where id = %s
        """,
        (repository_id,),
    )


def record_success(
    connection: psycopg.Connection, repository_id: int, *, is_empty: bool, changed: bool
) -> None:
    """Mark a repository as up to date; ``updated_at`` moves only with its rows."""
    connection.execute(
        """
        update public.repositories
        set
            state = 'completed',
            error_message = null,
            failed_attempts = 0,
            is_empty = %(is_empty)s,
            last_attempt_at = now(),
            last_processed_at = now(),
            updated_at = case when %(changed)s then now() else updated_at end
        where id = %(repository_id)s
        """,
        {"repository_id": repository_id, "is_empty": is_empty, "changed": changed},
    )


def record_unchanged(
    connection: psycopg.Connection, heads: Mapping[int, tuple[str, str]]
) -> set[int]:
    """Mark those repositories as up to date whose loaded head is the given one, a branch and a
    hash, whatever the branch was called; returns them."""
    rows = connection.execute(
        """
        with renamed as (
            update public.repository_heads
            set ref = asked.ref, observed_at = clock_timestamp()
            from unnest(%(ids)s::bigint[], %(refs)s::text[], %(hashes)s::text[])
                as asked (repository_id, ref, head_hash)
            where
                repository_heads.repository_id = asked.repository_id
                and repository_heads.head_hash = asked.head_hash
                and repository_heads.ref <> asked.ref
        )

        update public.repositories
        set
            state = 'completed',
            error_message = null,
            failed_attempts = 0,
            last_attempt_at = now(),
            last_processed_at = now()
        from unnest(%(ids)s::bigint[], %(hashes)s::text[]) as asked (repository_id, head_hash)
        inner join public.repository_heads
            on
                repository_heads.repository_id = asked.repository_id
                and repository_heads.head_hash = asked.head_hash
                and repository_heads.reading = %(reading)s
        where repositories.id = asked.repository_id
        returning repositories.id
        """,
        {
            "ids": list(heads),
            "refs": [ref for ref, _ in heads.values()],
            "hashes": [head_hash for _, head_hash in heads.values()],
            "reading": READING,
        },
    )
    return {row[0] for row in rows}


def follow_branch(connection: psycopg.Connection, repository_id: int, ref: str) -> None:
    """Keep the name that the default branch has now, where nothing else has changed."""
    connection.execute(
        """
        update public.repository_heads
        set ref = %(ref)s, observed_at = clock_timestamp()
        where repository_id = %(repository_id)s and ref <> %(ref)s
        """,
        {"repository_id": repository_id, "ref": ref},
    )


def find_repositories(connection: psycopg.Connection, urls: Sequence[str]) -> list[KnownRepository]:
    """Those of the addresses that are stored."""
    rows = connection.execute(
        f"{KNOWN} where url = any(%s) order by repositories.id", (list(urls),)
    )
    return [KnownRepository(*row) for row in rows]


def find_by_github_id(connection: psycopg.Connection, github_id: int) -> KnownRepository | None:
    row = connection.execute(f"{KNOWN} where github_id = %s", (github_id,)).fetchone()
    return None if row is None else KnownRepository(*row)


def record_missing(connection: psycopg.Connection, repository_id: int, now: datetime) -> bool:
    """GitHub denied a repository. Returns whether it counts as missing now; its rows stay."""
    row = connection.execute(
        """
        update public.repositories
        set
            missing_since = case
                when missing_first_seen_at <= %(now)s - %(confirm)s::interval
                    then coalesce(missing_since, missing_first_seen_at)
                else missing_since
            end,
            missing_first_seen_at = coalesce(missing_first_seen_at, %(now)s),
            last_attempt_at = %(now)s
        where id = %(id)s
        returning missing_since is not null
        """,
        {"id": repository_id, "now": now, "confirm": CONFIRM_AFTER},
    ).fetchone()
    return row == (True,)
