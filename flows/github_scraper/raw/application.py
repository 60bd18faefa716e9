"""The tables of the leaderboard application, where it has its own: its list of repositories is
read, its leaderboard filled with what is loaded here. What it writes besides stays."""

from typing import LiteralString

import psycopg
from psycopg import sql

from flows.github_scraper.raw.adoption import rules_on, said_of
from flows.github_scraper.records import ApplicationTablesError, RepositoryAddressError
from flows.github_scraper.rules import repository_path_name, repository_url

TABLES = ("Repository", "Contributor", "RepositoryContributor")

LISTED = """
select "Repository".id, "Repository".url
from public."Repository"
left join public.application_repositories
    on application_repositories.application_id = "Repository".id
where application_repositories.application_id is null
order by "Repository".id
"""

# Ours that the application lacks come under the address known here.
FILL_REPOSITORIES: tuple[LiteralString, ...] = (
    """
    delete from public.application_repositories
    where not exists (
        select 1 from public."Repository" as theirs where theirs.id = application_id
    )
    """,
    """
    with added as (
        insert into public."Repository"
            (url, "pathName", state, "lastAttempt", "lastProcessedAt", "createdAt", "updatedAt")
        select
            url, path_name, cast(state as {state}), last_attempt_at at time zone 'UTC',
            last_processed_at at time zone 'UTC', created_at at time zone 'UTC',
            updated_at at time zone 'UTC'
        from public.repositories
        where
            retired_at is null
            and url not like 'withheld:%'
            and not exists (
                select 1
                from public.application_repositories
                where application_repositories.repository_id = repositories.id
            )
        on conflict (url) do nothing
        returning id, url
    )

    insert into public.application_repositories (application_id, repository_id)
    select added.id, repositories.id
    from added
    inner join public.repositories on repositories.url = added.url
    on conflict (application_id) do update set repository_id = excluded.repository_id
    """,
    """
    update public."Repository" as theirs
    set
        "pathName" = ours.path_name,
        state = cast(ours.state as {state}),
        "lastAttempt" = ours.last_attempt_at at time zone 'UTC',
        "lastProcessedAt" = ours.last_processed_at at time zone 'UTC',
        "updatedAt" = clock_timestamp() at time zone 'UTC'
    from public.application_repositories
    inner join public.repositories as ours on ours.id = application_repositories.repository_id
    where
        theirs.id = application_repositories.application_id
        and ours.last_attempt_at is not null
        and (cast(theirs.state as text), theirs."lastProcessedAt") is distinct from (
            ours.state, cast(ours.last_processed_at at time zone 'UTC' as timestamp (3))
        )
    """,
)

# A person is found by the login, then by any e-mail that is theirs.
FILL_CONTRIBUTORS = (
    """
    create temporary table credited on commit drop as
    select distinct contributors.id, contributors.username, contributors.email,
        contributors.profile_url
    from public.contributors
    inner join public.repository_contributors
        on repository_contributors.contributor_id = contributors.id
    inner join public.repository_heads
        on repository_heads.repository_id = repository_contributors.repository_id
    """,
    """
    delete from public.application_contributors
    where not exists (
        select 1 from public."Contributor" as theirs where theirs.id = application_id
    )
    """,
    """
    with theirs as materialized (
        select
            id,
            public.folded_email(username) as login,
            public.folded_email(email) as email
        from public."Contributor"
    ),

    found as (
        select credited.id, theirs.id as application_id, true as is_by_login
        from credited
        inner join theirs on theirs.login = public.folded_email(credited.username)
        union all
        select credited.id, theirs.id, false
        from credited
        inner join public.contributors as identities
            on coalesce(identities.merged_into, identities.id) = credited.id
        inner join theirs on theirs.email = public.folded_email(identities.email)
    )

    insert into public.application_contributors (contributor_id, application_id)
    select distinct on (id) id, application_id
    from found
    order by id asc, is_by_login desc, application_id asc
    on conflict (contributor_id) do nothing
    """,
    """
    with lacking as (
        select
            nextval(pg_get_serial_sequence('public."Contributor"', 'id')) as application_id,
            credited.*
        from credited
        where not exists (
            select 1
            from public.application_contributors
            where application_contributors.contributor_id = credited.id
        )
    ),

    added as (
        insert into public."Contributor"
            (id, username, email, "profileUrl", "createdAt", "updatedAt")
        overriding system value
        select
            application_id, username, email, profile_url, clock_timestamp() at time zone 'UTC',
            clock_timestamp() at time zone 'UTC'
        from lacking
    )

    insert into public.application_contributors (contributor_id, application_id)
    select id, application_id from lacking
    """,
)

# Of a repository that is loaded here the application's own counts, which stop at its limits, give
# way; of any other they stay.
FILL_COUNTS = (
    """
    create temporary table counted on commit drop as
    select
        application_repositories.application_id as repository_id,
        application_contributors.application_id as contributor_id,
        sum(repository_contributors.commit_count)::integer as commit_count
    from public.repository_contributors
    inner join public.repository_heads
        on repository_heads.repository_id = repository_contributors.repository_id
    inner join public.application_repositories
        on application_repositories.repository_id = repository_contributors.repository_id
    inner join public.application_contributors
        on application_contributors.contributor_id = repository_contributors.contributor_id
    where repository_contributors.commit_count > 0
    group by 1, 2
    """,
    """
    insert into public."RepositoryContributor" as theirs
        ("repositoryId", "contributorId", "commitCount", "createdAt", "updatedAt")
    select
        repository_id, contributor_id, commit_count, clock_timestamp() at time zone 'UTC',
        clock_timestamp() at time zone 'UTC'
    from counted
    on conflict ("repositoryId", "contributorId") do update
    set "commitCount" = excluded."commitCount", "updatedAt" = excluded."updatedAt"
    where theirs."commitCount" <> excluded."commitCount"
    """,
    """
    delete from public."RepositoryContributor" as theirs
    using public.application_repositories, public.repository_heads
    where
        theirs."repositoryId" = application_repositories.application_id
        and repository_heads.repository_id = application_repositories.repository_id
        and not exists (
            select 1
            from counted
            where
                counted.repository_id = theirs."repositoryId"
                and counted.contributor_id = theirs."contributorId"
        )
    """,
)


# The application may have an enum of its own for it.
STATE_TYPE = """
select format_type(atttypid, atttypmod)
from pg_attribute
where attrelid = to_regclass('public."Repository"') and attname = 'state'
"""


def has_own_tables(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "select count(*) from pg_class where relkind in ('r', 'p')"
        " and oid = any(array(select to_regclass(format('public.%%I', name))"
        " from unnest(%s::text[]) as name))",
        (list(TABLES),),
    ).fetchone()
    return row == (len(TABLES),)


def adopt_repositories(connection: psycopg.Connection) -> dict[str, str]:
    """Know the repositories on the application's list; returns why some of them cannot be.

    The connection is in autocommit mode.
    """
    if not has_own_tables(connection):
        return {}
    try:
        return _adopted(connection)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        return {
            "the application's list of repositories": str(
                _of_another_shape(connection, "reading", error)
            )
        }


def _adopted(connection: psycopg.Connection) -> dict[str, str]:
    refused: dict[str, str] = {}
    with connection.transaction():
        for application_id, address in connection.execute(LISTED).fetchall():
            try:
                url = _of_a_host(address or "")
            except RepositoryAddressError as error:
                refused[f"the application's repository {application_id}"] = str(error)
                continue
            connection.execute(
                "insert into public.repositories (url, path_name) values (%s, %s)"
                " on conflict (url) do nothing",
                (url, repository_path_name(url)),
            )
            connection.execute(
                "insert into public.application_repositories (application_id, repository_id)"
                " select %s, id from public.repositories where url = %s",
                (application_id, url),
            )
    return refused


def _of_a_host(address: str) -> str:
    """The spelling of an address that anybody may have given the application: no folder here."""
    url = repository_url(address)
    if url.startswith("/"):
        raise RepositoryAddressError(
            "Reading the application's list of repositories",
            "one is a folder of this machine",
            "Give it to a run in `repositories`; the application's list is for addresses of hosts",
        )
    return url


def fill_leaderboard(connection: psycopg.Connection) -> bool:
    """Bring the application's tables in line with what is loaded. Returns whether it has any.

    The connection is in autocommit mode. A second call changes nothing.

    Raises:
        ApplicationTablesError: they have another shape; nothing was written into them.
    """
    if not has_own_tables(connection):
        return False
    if rules := rules_on(connection, TABLES):
        raise ApplicationTablesError(
            f"Filling the application's own tables {', '.join(TABLES)}",
            "; ".join(rules),
            "All else is loaded and built meanwhile",
        )
    try:
        with connection.transaction():
            (state,) = connection.execute(STATE_TYPE).fetchone() or ("text",)
            for statement in FILL_REPOSITORIES:
                connection.execute(sql.SQL(statement).format(state=sql.SQL(state)))
            for statement in (*FILL_CONTRIBUTORS, *FILL_COUNTS):
                connection.execute(statement)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise _of_another_shape(connection, "filling", error) from error
    return True


def _of_another_shape(
    connection: psycopg.Connection, doing: str, error: psycopg.Error
) -> ApplicationTablesError:
    return ApplicationTablesError(
        f"{doing.capitalize()} the application's own tables {', '.join(TABLES)}",
        said_of(error, connection),
        "Give them the shape that docs/contracts/github_scraper.md tells; all else is loaded and "
        "built meanwhile",
    )
