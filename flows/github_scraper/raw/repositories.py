"""Repositories: their addresses, states, names over time, and what GitHub says of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from flows.github_scraper.raw.adoption import refused_rows_are_told
from flows.github_scraper.records import (
    READING,
    KnownRepository,
    RepositoryAddressError,
    RepositoryFacts,
)
from flows.github_scraper.rules import repository_path_name, repository_url

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
        with refused_rows_are_told(f"Registering {url}"):
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


def recorded(
    connection: psycopg.Connection, repositories: Collection[int]
) -> dict[int, tuple[object, ...]]:
    """What is stored of repositories that GitHub shows, to be held against ``fingerprint``."""
    rows = connection.execute(
        """
        select
            repositories.id, github_id, node_id, name_with_owner, description, stars, forks,
            licence, primary_language, is_archived, is_fork, is_private, disk_kilobytes,
            default_branch, pushed_at
        from public.repositories
        inner join public.repository_metadata
            on repository_metadata.repository_id = repositories.id
        where repositories.id = any(%s) and missing_first_seen_at is null
        """,
        (list(repositories),),
    )
    return {row[0]: row[1:] for row in rows}


def fingerprint(facts: RepositoryFacts) -> tuple[object, ...]:
    """What of the facts would have to be written, topics and languages apart."""
    return (
        facts.account_repository_id,
        facts.node_id,
        facts.name_with_owner,
        _storable(facts.description),
        facts.stars,
        facts.forks,
        facts.licence,
        facts.primary_language,
        facts.is_archived,
        facts.is_fork,
        facts.is_private,
        facts.disk_kilobytes,
        facts.ref and facts.ref.removeprefix("refs/heads/"),
        facts.pushed_at,
    )


def _storable(text: str | None) -> str | None:
    return text and text.replace("\0", "")


def record_facts(
    connection: psycopg.Connection,
    repository: KnownRepository,
    facts: RepositoryFacts,
    host_url: str,
    now: datetime,
) -> str:
    """Keep what GitHub says of a repository; returns the address it has now.

    Raises:
        RepositoryAddressError: the same repository is stored twice, under two of its names.
    """
    repository_id = repository.repository_id
    with connection.transaction():
        twin = connection.execute(
            "select url from public.repositories where github_id = %s and id <> %s",
            (facts.account_repository_id, repository_id),
        ).fetchone()
        if twin is not None:
            raise RepositoryAddressError(
                f"Planning {repository.url}",
                f"it is the repository that is stored as {twin[0]} too",
                "Give only that address; the rows loaded under this one stay as they are",
            )
        url = _move(connection, repository, facts, host_url)
        connection.execute(
            """
            update public.repositories
            set github_id = %s, node_id = %s, missing_first_seen_at = null, missing_since = null
            where id = %s
            """,
            (facts.account_repository_id, facts.node_id, repository_id),
        )
        connection.execute(
            """
            insert into public.repository_names (repository_id, valid_from, name_with_owner)
            select %(id)s, %(now)s, %(name)s
            where %(name)s is distinct from (
                select name_with_owner
                from public.repository_names
                where repository_id = %(id)s
                order by valid_from desc
                limit 1
            )
            on conflict do nothing
            """,
            {"id": repository_id, "now": now, "name": facts.name_with_owner},
        )
        _record_metadata(connection, repository_id, facts, now)
    return url


def _move(
    connection: psycopg.Connection,
    repository: KnownRepository,
    facts: RepositoryFacts,
    host_url: str,
) -> str:
    """Give a renamed repository its new address. One that had it before (names are used again)
    makes way until it is planned itself."""
    url = repository_url(f"{host_url.rstrip('/')}/{facts.name_with_owner}")
    if url == repository.url:
        connection.execute(
            "update public.repositories set path_name = %(name)s"
            " where id = %(id)s and path_name is distinct from %(name)s",
            {"name": facts.name_with_owner, "id": repository.repository_id},
        )
        return url
    holder = connection.execute(
        "select id, github_id from public.repositories where url = %s and id <> %s",
        (url, repository.repository_id),
    ).fetchone()
    if holder is not None and holder[1] is None:
        return repository.url
    if holder is not None:
        connection.execute(
            "update public.repositories set url = url || '#' || github_id where id = %s",
            (holder[0],),
        )
    connection.execute(
        "update public.repositories set url = %s, path_name = %s, updated_at = clock_timestamp()"
        " where id = %s",
        (url, facts.name_with_owner, repository.repository_id),
    )
    return url


def _record_metadata(
    connection: psycopg.Connection, repository_id: int, facts: RepositoryFacts, now: datetime
) -> None:
    """``updated_at`` moves when something that GitHub says has changed."""
    languages = None if facts.languages is None else Jsonb(dict(facts.languages))
    connection.execute(
        """
        insert into public.repository_metadata as known (
            repository_id, name_with_owner, description, stars, forks, licence,
            primary_language, topics, languages, is_archived, is_fork, is_private,
            disk_kilobytes, default_branch, pushed_at, details_observed_at, updated_at
        )
        values (
            %(id)s, %(name)s, %(description)s, %(stars)s, %(forks)s, %(licence)s,
            %(primary_language)s, %(topics)s, %(languages)s, %(is_archived)s, %(is_fork)s,
            %(is_private)s, %(disk_kilobytes)s, %(default_branch)s, %(pushed_at)s,
            case when %(topics)s::text[] is not null then %(now)s::timestamptz end,
            %(now)s
        )
        on conflict (repository_id) do update
        set
            name_with_owner = excluded.name_with_owner,
            description = excluded.description,
            stars = excluded.stars,
            forks = excluded.forks,
            licence = excluded.licence,
            primary_language = excluded.primary_language,
            topics = coalesce(excluded.topics, known.topics),
            languages = coalesce(excluded.languages, known.languages),
            is_archived = excluded.is_archived,
            is_fork = excluded.is_fork,
            is_private = excluded.is_private,
            disk_kilobytes = excluded.disk_kilobytes,
            default_branch = excluded.default_branch,
            pushed_at = excluded.pushed_at,
            details_observed_at
            = coalesce(excluded.details_observed_at, known.details_observed_at),
            updated_at = case
                when (
                    known.name_with_owner, known.description, known.stars, known.forks,
                    known.licence, known.primary_language, known.topics, known.languages,
                    known.is_archived, known.is_fork, known.is_private, known.default_branch
                ) is distinct from (
                    excluded.name_with_owner, excluded.description, excluded.stars,
                    excluded.forks, excluded.licence, excluded.primary_language,
                    coalesce(excluded.topics, known.topics),
                    coalesce(excluded.languages, known.languages),
                    excluded.is_archived, excluded.is_fork, excluded.is_private,
                    excluded.default_branch
                ) then excluded.updated_at
                else known.updated_at
            end
        """,
        {
            "id": repository_id,
            "name": facts.name_with_owner,
            "description": _storable(facts.description),
            "stars": facts.stars,
            "forks": facts.forks,
            "licence": facts.licence,
            "primary_language": facts.primary_language,
            "topics": None if facts.topics is None else list(facts.topics),
            "languages": languages,
            "is_archived": facts.is_archived,
            "is_fork": facts.is_fork,
            "is_private": facts.is_private,
            "disk_kilobytes": facts.disk_kilobytes,
            "default_branch": facts.ref and facts.ref.removeprefix("refs/heads/"),
            "pushed_at": facts.pushed_at,
            "now": now,
        },
    )


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
