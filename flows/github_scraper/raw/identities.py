"""People: the merges that follow from accounts of e-mails and from lists of people."""

import psycopg

from flows.github_scraper.raw.aliases import list_aliases
from flows.github_scraper.raw.commits import MERGE_LOCK

# One row per contributor with a known account; `root_id` is the contributor that stands for the
# account: the one known by its number, then by its login, else the first by key, whatever order
# they were loaded in. A contributor whose merge a person has reverted is left as it is.
# `account` is the number on github.com, or the host, a slash and the number. Accounts and
# identities that somebody has listed as one in `contributor_aliases` are one group; who is named as
# the person stands for it. The newest word of a person holds: an alias or a reverted merge.
DESIRED = """
create temporary table desired on commit drop as
with recursive numbers as (
    select login, min(account) as account
    from (
        select
            substring(contributors.identity_key from 9) as account,
            coalesce(substring(contributors.identity_key from '^account:(.*/)'), '')
            || account_logins.login as login
        from public.account_logins
        inner join public.contributors on contributors.id = account_logins.contributor_id
        union
        select cast(account_id as text), lower(login)
        from public.email_accounts
        where account_id is not null
    ) as seen
    group by login
    having count(*) = 1
),

claimed as (
    select
        contributors.id,
        contributors.identity_key,
        email_accounts.login,
        coalesce(
            cast(email_accounts.account_id as text),
            numbers.account,
            'login:' || lower(email_accounts.login)
        ) as account,
        email_accounts.account_type,
        'e-mail ' || email_accounts.email || ' is that of ' || email_accounts.login
        || ' on GitHub, as commit ' || email_accounts.commit_hash || ' shows' as evidence
    from public.contributors
    inner join public.email_accounts on email_accounts.email = contributors.email
    left join numbers on numbers.login = lower(email_accounts.login)
    where email_accounts.login is not null
    union all
    select
        id,
        identity_key,
        case when identity_key not like '%/%' then coalesce(signed_login, username) end,
        substring(identity_key from 9),
        null,
        'noreply address with the account number ' || substring(identity_key from 9)
    from public.contributors
    where identity_key like 'account:%'
    union all
    select
        contributors.id,
        contributors.identity_key,
        case
            when contributors.identity_key not like '%/%'
                then substring(contributors.identity_key from 7)
        end,
        coalesce(numbers.account, contributors.identity_key),
        null,
        'noreply address of ' || substring(contributors.identity_key from 7)
        || coalesce(', a login of the account number ' || numbers.account || ' alone', '')
    from public.contributors
    left join numbers on numbers.login = substring(contributors.identity_key from 7)
    where contributors.identity_key like 'login:%'
),

names as (
    select id, identity_key as name from public.contributors
    union
    select id, lower(username) from public.contributors where username is not null
    union
    select id, substring(identity_key from 7)
    from public.contributors
    where identity_key like 'login:%'
    union
    select contributor_id, login from public.account_logins
),

-- A name that nobody signs with leads on to whom it is listed as.
followed as (
    select alias_name, person_name, told, created_at, array[alias_name, person_name] as passed
    from listed
    union all
    select
        followed.alias_name,
        listed.person_name,
        followed.told || '; ' || listed.told,
        greatest(followed.created_at, listed.created_at),
        followed.passed || listed.person_name
    from followed
    inner join listed on listed.alias_name = followed.person_name
    where
        listed.person_name <> all(followed.passed)
        and not exists (select 1 from names where names.name = followed.person_name)
),

named as (
    select
        alias_names.id as alias_id,
        person_names.id as person_id,
        followed.told
    from followed
    inner join names as alias_names on alias_names.name = followed.alias_name
    inner join names as person_names on person_names.name = followed.person_name
    where not exists (
        select 1
        from public.contributor_merges as reverted
        where
            reverted.contributor_id = alias_names.id
            and reverted.reverted_at > followed.created_at
    )
),

members as (
    select * from claimed
    union all
    -- Of no account: as far as somebody lists them, or has done so.
    select id, identity_key, null, 'identity ' || identity_key, null, null
    from public.contributors
    where
        not exists (select 1 from claimed where claimed.id = contributors.id)
        and (
            exists (select 1 from named where contributors.id in (alias_id, person_id))
            or exists (
                select 1
                from public.contributor_merges as by_hand
                where
                    by_hand.contributor_id = contributors.id
                    and by_hand.rule = 'same person by hand'
                    and by_hand.ended_at is null
            )
        )
),

links as (
    select aliases.account as one, people.account as other
    from named
    inner join members as aliases on aliases.id = named.alias_id
    inner join members as people on people.id = named.person_id
    union
    select people.account, aliases.account
    from named
    inner join members as aliases on aliases.id = named.alias_id
    inner join members as people on people.id = named.person_id
),

linked as (
    select one as account, one as reached from links
    union
    select linked.account, links.other
    from linked
    inner join links on links.one = linked.reached
),

groups as (
    select account, min(reached) as group_name from linked group by account
),

told as (
    select groups.group_name, string_agg(distinct named.told, '; ' order by named.told) as evidence
    from named
    inner join members on members.id = named.alias_id
    inner join groups on groups.account = members.account
    group by groups.group_name
),

grouped as (
    select
        members.*,
        coalesce(groups.group_name, members.account) as group_name,
        told.evidence as told,
        coalesce(bool_or(
            exists (select 1 from named where named.person_id = members.id)
            -- Who took over the login of an alias is no alias of its own.
            and not exists (
                select 1 from named
                where named.alias_id = members.id and named.person_id <> members.id
            )
        ) over (partition by members.account), false) as is_person
    from members
    left join groups on groups.account = members.account
    left join told on told.group_name = groups.group_name
),

rooted as (
    select
        claimed.id,
        claimed.account,
        case
            when claimed.account = first_value(claimed.account) over by_account
                then claimed.evidence
            else claimed.told
        end as evidence,
        case
            when claimed.account = first_value(claimed.account) over by_account
                then 'same GitHub account ' || claimed.account
            else 'same person by hand'
        end as rule,
        first_value(claimed.id) over by_account as root_id,
        first_value(claimed.login) over (
            partition by claimed.group_name
            order by
                claimed.login is null,
                claimed.is_person desc,
                claimed.identity_key like 'email:%' desc,
                claimed.identity_key like 'account:%' desc,
                claimed.login asc
        ) as login,
        bool_or(claimed.identity_key like 'email:%') over by_all as is_told_by_github,
        case when claimed.account ~ '^[0-9]{1,15}$' then cast(claimed.account as bigint) end
            as account_id,
        max(
            coalesce(claimed.account_type, case when claimed.login like '%[bot]' then 'Bot' end)
        ) over by_all as account_type
    from grouped as claimed
    where
        not exists (
            select 1
            from public.contributor_merges as reverted
            where reverted.contributor_id = claimed.id and reverted.reverted_at is not null
        )
        or exists (select 1 from named where claimed.id in (named.alias_id, named.person_id))
    window
        by_account as (
            partition by claimed.group_name
            order by
                claimed.is_person desc,
                claimed.identity_key like 'account:%' desc,
                claimed.identity_key like 'login:%' desc,
                claimed.identity_key asc
        ),
        by_all as (partition by claimed.group_name)
),

-- A login is given anew once its owner has left it: the younger account has it.
holders as (
    select distinct on (login) login, root_id
    from rooted
    where id = root_id and login is not null
    order by login, is_told_by_github desc, account_id desc nulls last, root_id
)

select
    rooted.id,
    rooted.root_id,
    rooted.rule,
    rooted.evidence,
    case when rooted.id = rooted.root_id then holders.login end as username,
    case
        when rooted.id = rooted.root_id then rooted.account_id
        when contributors.identity_key like 'account:%' then contributors.account_id
    end as account_id,
    case when rooted.id = rooted.root_id then rooted.account_type end as account_type
from rooted
inner join public.contributors on contributors.id = rooted.id
left join holders on holders.root_id = rooted.root_id and holders.login = rooted.login
"""

MOVED = """
create temporary table moved on commit drop as
select
    contributors.id,
    desired.root_id,
    desired.rule,
    desired.evidence
from public.contributors
inner join desired on desired.id = contributors.id
where coalesce(contributors.merged_into, contributors.id) <> desired.root_id
"""

APPLY = (
    """
    update public.contributors
    set merged_into = nullif(moved.root_id, moved.id), updated_at = %(now)s
    from moved
    where contributors.id = moved.id
    """,
    """
    update public.contributors
    set merged_into = moved.root_id, updated_at = %(now)s
    from moved
    where
        contributors.merged_into = moved.id
        and moved.root_id <> moved.id
        and contributors.id not in (select id from desired)
    """,
    """
    update public.contributor_merges
    set ended_at = %(now)s
    from moved
    where contributor_merges.contributor_id = moved.id and contributor_merges.ended_at is null
    """,
    """
    insert into public.contributor_merges
        (contributor_id, merged_into, rule, evidence, merged_at)
    select id, root_id, rule, evidence, %(now)s
    from moved
    where id <> root_id
    """,
    """
    update public.commits
    set contributor_id = moved.root_id, updated_at = %(now)s
    from moved
    where commits.identity_id = moved.id and commits.contributor_id <> moved.root_id
    """,
    """
    update public.commit_coauthors
    set contributor_id = moved.root_id
    from moved
    where
        commit_coauthors.identity_id = moved.id
        and commit_coauthors.contributor_id <> moved.root_id
    """,
    """
    select public.recount_contributions(array(
        select distinct commits.repository_id
        from public.commits
        inner join moved on moved.id = commits.identity_id
    ))
    """,
)

# A login is unique: those that it moves away from give it up first.
NAME_ROOTS = (
    """
    update public.contributors
    set username = null, profile_url = null, updated_at = %(now)s
    from desired
    where
        contributors.id = desired.id
        and contributors.username is not null
        and contributors.username is distinct from desired.username
    """,
    """
    update public.contributors
    set
        username = desired.username,
        profile_url = 'https://github.com/' || desired.username,
        account_id = desired.account_id,
        account_type = desired.account_type,
        updated_at = %(now)s
    from desired
    where
        contributors.id = desired.id
        and (contributors.username, contributors.account_id, contributors.account_type)
        is distinct from (desired.username, desired.account_id, desired.account_type)
        and not exists (
            select 1
            from public.contributors as other
            where other.username = desired.username and other.id <> contributors.id
        )
    """,
)


def merge_accounts(connection: psycopg.Connection) -> int:
    """Let one contributor stand for each GitHub account; returns how many identities moved.

    What is merged follows from the e-mails and from what people have listed alone, so the order of
    loads does not matter and a second call changes nothing.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (MERGE_LOCK,))
        now = connection.execute("select clock_timestamp()").fetchone()
        assert now is not None
        parameters = {"now": now[0]}
        list_aliases(connection)
        connection.execute(DESIRED)
        moved = connection.execute(MOVED).rowcount
        for statement in (*APPLY, *NAME_ROOTS) if moved else NAME_ROOTS:
            connection.execute(statement, parameters)
        return moved
