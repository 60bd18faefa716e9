"""People: the merges that follow from accounts of e-mails and from lists of people."""

from collections.abc import Callable

import psycopg

from flows._shared.counted import counted
from flows.github_scraper.raw.aliases import group_accounts, list_aliases
from flows.github_scraper.raw.commits import TAKE_MERGE_TURN
from flows.github_scraper.raw.logins import NAME_ROOTS, note_given_logins

# One row per contributor with a known account; `root_id` is the contributor that stands for the
# account: the one known by its number, then by its login, else the first by key, whatever order
# they were loaded in. A contributor whose merge a person has reverted stands for itself alone.
# `account` is the number on github.com, or the host, a slash and the number. Accounts and
# identities that somebody has listed as one in `contributor_aliases` are one group; who is named as
# the person stands for it.
MEMBERS = """
create temporary table members on commit drop as
with numbers as (
    select login, min(account) as account
    from (
        select
            substring(contributors.identity_key from 9) as account,
            coalesce(substring(contributors.identity_key from '^account:(.*/)'), '')
            || account_logins.login as login
        from public.account_logins
        inner join public.contributors on contributors.id = account_logins.contributor_id
        union
        select cast(account_id as text), public.folded_email(login)
        from public.email_accounts
        where account_id is not null
    ) as seen
    group by login
    having count(*) = 1
),

own as (
    select distinct on (id) id, login from own_logins order by id asc, given_at desc, login asc
),

listed as (
    select alias_id as id from named
    union
    select person_id from named
),

apart as (
    select contributor_id as id
    from public.contributor_merges
    where reverted_at is not null
    except
    select id from listed
),

claimed as (
    select
        contributors.id,
        contributors.identity_key,
        email_accounts.login,
        coalesce(
            cast(email_accounts.account_id as text),
            numbers.account,
            'login:' || public.folded_email(email_accounts.login)
        ) as account,
        email_accounts.account_type,
        'e-mail ' || email_accounts.email || ' is that of ' || email_accounts.login
        || ' on GitHub, as commit ' || email_accounts.commit_hash || ' shows' as evidence,
        true as is_told
    from public.contributors
    inner join public.email_accounts on email_accounts.email = contributors.email
    left join numbers on numbers.login = public.folded_email(email_accounts.login)
    where email_accounts.login is not null
    union all
    select
        contributors.id,
        identity_key,
        case when identity_key not like '%/%' then coalesce(signed_login, own.login) end,
        substring(identity_key from 9),
        null,
        'noreply address with the account number ' || substring(identity_key from 9),
        false
    from public.contributors
    left join own on own.id = contributors.id
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
        || coalesce(', a login of the account number ' || numbers.account || ' alone', ''),
        false
    from public.contributors
    left join numbers on numbers.login = substring(contributors.identity_key from 7)
    where contributors.identity_key like 'login:%'
),

by_hand as (
    select contributor_id as id from public.contributor_merges where rule = 'same person by hand'
    union
    select merged_into from public.contributor_merges where rule = 'same person by hand'
)

select * from claimed where id not in (select id from apart)
union all
-- Of no account: as far as somebody lists them, or has done so; and who stays alone.
select
    contributors.id,
    identity_key,
    case
        when identity_key ~ '^login:[^/]+$' then substring(identity_key from 7)
        when identity_key ~ '^account:[^/]+$' then coalesce(signed_login, own.login)
        else own.login
    end,
    'identity ' || identity_key,
    null,
    null,
    false
from public.contributors
left join own on own.id = contributors.id
where
    contributors.id in (select id from apart)
    or (
        contributors.id not in (select id from claimed)
        and (
            contributors.id in (select id from listed)
            or contributors.id in (select id from by_hand)
        )
    )
"""

DESIRED = """
create temporary table desired on commit drop as
with grouped as (
    select
        members.*,
        coalesce(groups.group_name, members.account) as group_name,
        groups.told,
        bool_or(
            members.id in (select person_id from named)
            -- Who took over the login of an alias is no alias of its own.
            and members.id not in (select alias_id from named where person_id <> alias_id)
        ) over (partition by members.account) as is_person
    from members
    left join groups on groups.account = members.account
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
                claimed.is_told desc,
                claimed.identity_key like 'account:%' desc,
                claimed.login asc
        ) as login,
        bool_or(claimed.is_told) over by_all as is_told_by_github,
        case when claimed.account ~ '^[0-9]{1,15}$' then cast(claimed.account as bigint) end
            as account_id,
        max(
            coalesce(claimed.account_type, case when claimed.login like '%[bot]' then 'Bot' end)
        ) over by_all as account_type
    from grouped as claimed
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
        when rooted.id = rooted.root_id and rooted.account_id is not null then rooted.account_id
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

APART = "select count(*) from moved where id = root_id"

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


def merge_accounts(connection: psycopg.Connection, tell: Callable[[str], object] = str) -> int:
    """Let one contributor stand for each GitHub account; returns how many identities moved.

    What is merged follows from the e-mails and from what people have listed alone, so the order of
    loads does not matter and a second call changes nothing. ``tell`` gets a line for those that
    were merged, one for those of which a merge was undone, and what of the list leads nowhere.
    """
    with connection.transaction():
        connection.execute(TAKE_MERGE_TURN)
        now = connection.execute("select clock_timestamp()").fetchone()
        assert now is not None
        parameters = {"now": now[0]}
        note_given_logins(connection, now[0])
        for note in list_aliases(connection):
            tell(note)
        connection.execute(MEMBERS)
        group_accounts(connection)
        connection.execute(DESIRED)
        moved = connection.execute(MOVED).rowcount
        apart = connection.execute(APART).fetchall()[0][0] if moved else 0
        if moved > apart:
            merged = counted(
                moved - apart,
                "identity merged with the person it is",
                "identities merged with the person they are",
            )
            tell(merged)
        if apart:
            tell(
                f"{counted(apart, 'identity is', 'identities are')} told apart again: neither "
                "a list nor an account shows them as one with another any more"
            )
        for statement in (*APPLY, *NAME_ROOTS) if moved else NAME_ROOTS:
            connection.execute(statement, parameters)
        return moved
