"""What follows from the commits of an identity: its name, the logins of its account, and whether
there is any reason to know it. Derived anew by each load from what is reachable."""

from collections.abc import Mapping

import psycopg

# Identities of which this load may change what follows from their commits.
TOUCHED = """
create temporary table touched on commit drop as
select contributors.id
from public.contributors
where
    contributors.identity_key in (
        select identity_key from stage_commits
        union
        select identity_key from stage_coauthors
    )
union
select commits.identity_id
from public.commits
inner join stage_commits on stage_commits.commit_hash = commits.commit_hash
where commits.repository_id = %(repository_id)s
union
select commit_coauthors.identity_id
from public.commit_coauthors
inner join stage_commits on stage_commits.commit_hash = commit_coauthors.commit_hash
where commit_coauthors.repository_id = %(repository_id)s
"""

TOUCHED_BY_REWRITING = """
insert into touched
with changed as (
    select commit_hash, identity_id
    from public.commits
    where repository_id = %(repository_id)s and updated_at = %(now)s
)

select identity_id from changed
union
select commit_coauthors.identity_id
from public.commit_coauthors
inner join changed on changed.commit_hash = commit_coauthors.commit_hash
where commit_coauthors.repository_id = %(repository_id)s
except
select id from touched
"""

# What reachable commits say of each identity touched; authors before co-authors, newest first.
SIGNED = """
create temporary table signed on commit drop as
select
    touched.id,
    signature.*,
    case
        when signature.email ~ '^[[:space:]]*[0-9]{1,15}[+-][^@+]+@'
            then substring(public.folded_email(signature.email) from '^[0-9]{1,15}[+-]([^@+]+)@')
    end as login
from touched
cross join lateral (
    select
        commits.author_name_mapped as name,
        commits.author_email_mapped as email,
        commits.committed_at,
        commits.commit_hash,
        0 as position
    from public.commits
    where commits.identity_id = touched.id and commits.orphaned_at is null
    union all
    select
        coalesce(commit_coauthors.name_mapped, commit_coauthors.name),
        coalesce(commit_coauthors.email_mapped, commit_coauthors.email),
        '-infinity'::timestamptz,
        commit_coauthors.commit_hash,
        commit_coauthors.position
    from public.commit_coauthors
    inner join public.commits
        on
            commits.repository_id = commit_coauthors.repository_id
            and commits.commit_hash = commit_coauthors.commit_hash
    where commit_coauthors.identity_id = touched.id and commits.orphaned_at is null
) as signature
"""

# The newest commit names the contributor and the login of its account, whatever the order of
# loads was.
FOLLOW_COMMITS = (
    """
    update public.contributors
    set
        display_name = named.name,
        signed_login = case when identity_key ~ '^account:[0-9]+$' then named.login end,
        updated_at = %(now)s
    from (
        select distinct on (signed.id)
            signed.id,
            signed.name,
            first_value(signed.login) over (
                partition by signed.id
                order by
                    signed.login is null,
                    signed.committed_at desc,
                    signed.commit_hash desc,
                    signed.position desc
            ) as login
        from signed
        order by
            signed.id asc,
            signed.committed_at desc,
            signed.commit_hash desc,
            signed.position desc
    ) as named
    where
        contributors.id = named.id
        and (contributors.display_name, contributors.signed_login) is distinct from (
            named.name, case when identity_key ~ '^account:[0-9]+$' then named.login end
        )
    """,
    """
    delete from public.account_logins using touched
    where
        account_logins.contributor_id = touched.id
        and not exists (
            select 1
            from signed
            where signed.id = touched.id and signed.login = account_logins.login
        )
    """,
    """
    insert into public.account_logins (contributor_id, login)
    select distinct signed.id, signed.login
    from signed
    inner join public.contributors on contributors.id = signed.id
    where contributors.identity_key like 'account:%%' and signed.login is not null
    on conflict do nothing
    """,
    # Identities that nothing refers to any more, not even an orphaned commit or a merge.
    """
    delete from public.contributors using touched
    where
        contributors.id = touched.id
        and contributors.merged_into is null
        and not exists (select 1 from public.commits where identity_id = touched.id)
        and not exists (select 1 from public.commits where contributor_id = touched.id)
        and not exists (select 1 from public.commit_coauthors where identity_id = touched.id)
        and not exists (select 1 from public.commit_coauthors where contributor_id = touched.id)
        and not exists (
            select 1 from public.repository_contributors where contributor_id = touched.id
        )
        and not exists (
            select 1 from public.contributors as other where other.merged_into = touched.id
        )
        and not exists (
            select 1 from public.contributor_merges
            where touched.id in (contributor_merges.contributor_id, contributor_merges.merged_into)
        )
    """,
)


def note_touched(connection: psycopg.Connection, parameters: Mapping[str, object]) -> None:
    """Before a load writes: whose commits it may move."""
    connection.execute(TOUCHED, parameters)


def follow_commits(connection: psycopg.Connection, parameters: Mapping[str, object]) -> None:
    """After a load has written: what its commits say now of the identities that it touched."""
    for statement in (SIGNED, *FOLLOW_COMMITS):
        connection.execute(statement, parameters)


def note_rewritten(connection: psycopg.Connection, parameters: Mapping[str, object]) -> None:
    """After a load has orphaned or restored commits: whose these are."""
    connection.execute(TOUCHED_BY_REWRITING, parameters)
