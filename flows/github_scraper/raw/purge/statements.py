"""What a purge does to the raw tables, statement by statement."""

# Whoever counts as one contributor is one person. A login that somebody holds now is theirs, not of
# whom it was before.
THEIRS = """
create temporary table theirs on commit drop as
with former as (
    select login
    from unnest(%(logins)s::text[]) as login
    where
        login not in (
            select public.folded_email(username)
            from public.contributors
            where username is not null
        )
),

named as (
    select id, merged_into
    from public.contributors
    where
        identity_key = any(%(keys)s)
        or public.folded_email(email) = any(%(emails)s)
        or public.folded_email(username) = any(%(logins)s)
        or public.folded_email(signed_login) in (select login from former)
        or id in (
            select contributor_id
            from public.account_logins
            inner join former on former.login = account_logins.login
        )
        or email in (
            select email
            from public.email_accounts
            inner join former on former.login = public.folded_email(email_accounts.login)
        )
)

select contributors.id, coalesce(contributors.merged_into, contributors.id) as root_id
from public.contributors
where
    coalesce(contributors.merged_into, contributors.id) in (
        select coalesce(merged_into, id) from named
    )
    and contributors.identity_key not like 'purged:%%'
"""

HELD_BY_OTHERS = """
select 'login:' || public.folded_email(username)
from public.contributors
where username is not null and id not in (select id from theirs)
"""

# Of identities that are known by a name alone, which others may have.
WITHOUT_ADDRESS = """
select id, identity_key
from public.contributors
where identity_key like 'name:%' and id not in (select id from theirs)
"""
ALSO_THEIRS = """
insert into theirs
select id, coalesce(merged_into, id)
from public.contributors
where id = any(%s)
"""

IDENTITIES = """
select identity_key from public.contributors
union
select email from public.contributors
"""

KNOWN_AS = """
select identity_key from public.contributors where id in (select id from theirs)
union
select 'email:' || public.folded_email(email)
from public.contributors where id in (select id from theirs)
union
select 'account:' || account_id from public.contributors where id in (select id from theirs)
union
select 'login:' || public.folded_email(login)
from public.contributors
cross join lateral unnest(array[username, signed_login, shown_login]) as login
where id in (select id from theirs)
union
select 'login:' || public.folded_email(login)
from public.account_logins where contributor_id in (select id from theirs)
union
select 'login:' || public.folded_email(login)
from public.given_logins where contributor_id in (select id from theirs)
union
select unnest(array['login:' || public.folded_email(login), 'account:' || account_id])
from public.email_accounts
where email in (select email from public.contributors where id in (select id from theirs))
"""

# An address that a mailmap turns into theirs may be one that others sign with, too.
WROTE_AS = """
with signed as (
    select author_email as email, identity_id in (select id from theirs) as is_theirs
    from public.commits
    union all
    select email, identity_id in (select id from theirs) from public.commit_coauthors
    union all
    select
        committer_email,
        public.folded_email(committer_email_mapped) in (
            select public.folded_email(email)
            from public.contributors
            where id in (select id from theirs)
        )
    from public.commits
)

select email
from signed
where trim(email) <> ''
group by email
having bool_and(is_theirs)
"""

CALLED = """
select display_name from public.contributors where id in (select id from theirs)
union
select unnest(array[author_name, author_name_mapped])
from public.commits where identity_id in (select id from theirs)
union
select unnest(array[name, name_mapped])
from public.commit_coauthors where identity_id in (select id from theirs)
"""

# Who gave no address may be anybody, also them.
OTHERS_ARE_CALLED = """
with others as (
    select id, display_name
    from public.contributors
    where id not in (select id from theirs) and identity_key not like 'name:%%'
)

select display_name from others where display_name is not null
union
select unnest(array[author_name, author_name_mapped])
from public.commits where identity_id in (select id from others)
union
select unnest(array[name, name_mapped])
from public.commit_coauthors where identity_id in (select id from others)
union
select unnest(array[committer_name, committer_name_mapped])
from public.commits
where
    committer_email like '%%@%%'
    and not public.folded_email(committer_email) = any(%(emails)s)
    and not public.folded_email(committer_email_mapped) = any(%(emails)s)
"""

COMMITS = """
select
    id, repository_id, identity_id in (select id from theirs) as is_author,
    author_name, author_email, author_name_mapped, author_email_mapped,
    committer_name, committer_email, committer_name_mapped, committer_email_mapped,
    commit_message,
    array(
        select coauthors.email
        from public.commit_coauthors as coauthors
        where
            coauthors.repository_id = commits.repository_id
            and coauthors.commit_hash = commits.commit_hash
            and coauthors.identity_id in (select id from theirs)
    ) as coauthor_emails
from public.commits
"""

REWRITE_COMMIT = """
update public.commits
set
    author_name = %s, author_email = %s, author_name_mapped = %s, author_email_mapped = %s,
    committer_name = %s, committer_email = %s, committer_name_mapped = %s,
    committer_email_mapped = %s, commit_message = %s, updated_at = clock_timestamp()
where id = %s
"""

# A commit that names the person by two addresses has them once, as a load would have it now.
COAUTHORS = (
    """
    update public.commit_coauthors
    set
        identity_id = %(root)s, contributor_id = %(root)s, name = %(person)s, email = %(address)s,
        name_mapped = %(person)s, email_mapped = %(address)s
    where identity_id in (select id from theirs) or contributor_id in (select id from theirs)
    """,
    """
    create temporary table named_once on commit drop as
    select
        coauthors.*,
        min(position) over (partition by repository_id, commit_hash, identity_id) as first_position
    from public.commit_coauthors as coauthors
    where exists (
        select 1
        from public.commit_coauthors as twice
        where
            twice.identity_id = %(root)s
            and twice.repository_id = coauthors.repository_id
            and twice.commit_hash = coauthors.commit_hash
        having count(*) > 1
    )
    """,
    """
    delete from public.commit_coauthors as coauthors
    using named_once
    where
        coauthors.repository_id = named_once.repository_id
        and coauthors.commit_hash = named_once.commit_hash
    """,
    """
    insert into public.commit_coauthors (
        repository_id, commit_hash, position, contributor_id, identity_id, name, email,
        name_mapped, email_mapped, created_at
    )
    select
        repository_id, commit_hash,
        row_number() over (partition by repository_id, commit_hash order by position),
        contributor_id, identity_id, name, email, name_mapped, email_mapped, created_at
    from named_once
    where position = first_position
    """,
)

CONTRIBUTORS = (
    """
    update public.commits
    set identity_id = %(root)s, contributor_id = %(root)s, updated_at = clock_timestamp()
    where identity_id in (select id from theirs) or contributor_id in (select id from theirs)
    """,
    """
    delete from public.contributor_merges
    where contributor_id in (select id from theirs) or merged_into in (select id from theirs)
    """,
    "delete from public.account_logins where contributor_id in (select id from theirs)",
    "delete from public.given_logins where contributor_id in (select id from theirs)",
    """
    delete from public.contributor_email_conflicts
    where
        contributor_id in (select id from theirs)
        or public.folded_email(email) = any(%(emails)s)
    """,
    """
    delete from public.email_accounts
    where
        public.folded_email(email) = any(%(emails)s)
        or public.folded_email(login) = any(%(logins)s)
    """,
    """
    update public.contributors
    set
        identity_key = 'purged:' || %(person)s || ':' || id, username = null, email = null,
        display_name = null, profile_url = null, account_id = null, account_type = null,
        signed_login = null, shown_login = null, merged_into = %(root)s,
        updated_at = clock_timestamp()
    where id in (select id from theirs) and id <> %(root)s
    """,
    """
    update public.contributors
    set
        identity_key = 'email:' || %(address)s, username = null, email = %(address)s,
        display_name = %(person)s, profile_url = null, account_id = null, account_type = null,
        signed_login = null, shown_login = null, merged_into = null,
        updated_at = clock_timestamp()
    where id = %(root)s and exists (select 1 from theirs)
    """,
    """
    select public.recount_contributions(
        array(select distinct repository_id from public.commits where contributor_id = %(root)s)
    )
    """,
)

# What is asked of GitHub again, and read anew.
CACHES = (
    "delete from github_api.responses where body::text ~* %(pattern)s",
    "delete from github_api.walk_commits",
    "delete from github_api.walks",
)

OF_THE_APPLICATION = """
update public."Contributor" as theirs
set
    username = %(person)s || '-' || theirs.id, email = null, "profileUrl" = null,
    "updatedAt" = clock_timestamp() at time zone 'UTC'
from public.application_contributors
where
    application_contributors.application_id = theirs.id
    and application_contributors.contributor_id in (select id from theirs_before)
"""

DESCRIBED = """
select repository_id, description from public.repository_metadata where description is not null
"""
NOTES = "select alias, note from public.contributor_aliases where note is not null"
ANNOTATE = "update public.contributor_aliases set note = %s where alias = %s"
REDESCRIBE = """
update public.repository_metadata
set description = %s, updated_at = clock_timestamp()
where repository_id = %s
"""

HISTORY = """
select dbt_scd_id, description
from analytics.repository_metadata_history
where description is not null
"""
REWRITE_HISTORY = """
update analytics.repository_metadata_history set description = %s where dbt_scd_id = %s
"""
