"""What GitHub says of a repository, and the name that follows from it."""

from collections.abc import Collection
from datetime import datetime

import psycopg
from psycopg.types.json import Jsonb

from flows.github_scraper.records import (
    KnownRepository,
    RepositoryAddressError,
    RepositoryFacts,
)
from flows.github_scraper.rules import repository_url


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
