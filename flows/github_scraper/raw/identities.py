"""People: which e-mails belong to which GitHub account, and the merges that follow from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from flows.github_scraper.raw.commits import MERGE_LOCK
from flows.github_scraper.records import AccountLookup

PENDING = """
select
    contributors.email,
    sample.commit_hash,
    sample.repository_id,
    sample.node_id,
    sample.name_with_owner
from public.contributors
cross join lateral (
    select
        commits.commit_hash,
        commits.repository_id,
        repositories.node_id,
        repository_metadata.name_with_owner
    from public.commits
    inner join public.repositories on repositories.id = commits.repository_id
    inner join public.repository_metadata
        on repository_metadata.repository_id = commits.repository_id
    where
        commits.identity_id = contributors.id
        and commits.orphaned_at is null
        and repositories.missing_since is null
    order by
        lower(commits.author_email) = contributors.email desc,
        commits.committed_at desc,
        commits.commit_hash desc
    limit 1
) as sample
left join public.email_accounts on email_accounts.email = contributors.email
where
    contributors.email is not null
    and (
        email_accounts.email is null
        or (email_accounts.login is null and email_accounts.looked_up_at < %(recheck_before)s)
    )
order by sample.repository_id, contributors.email
"""

SAVE = """
insert into public.email_accounts as known
    (email, login, account_id, account_type, commit_hash, repository_id, looked_up_at)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (email) do update
set
    login = excluded.login,
    account_id = excluded.account_id,
    account_type = excluded.account_type,
    commit_hash = excluded.commit_hash,
    repository_id = excluded.repository_id,
    looked_up_at = excluded.looked_up_at
"""

# One row per contributor with a known account; `root_id` is the contributor that stands for the
# account: the one known by its login, else the first by key, whatever order they were loaded in.
# A contributor whose merge a person has reverted is left as it is.
DESIRED = """
create temporary table desired on commit drop as
with claimed as (
    select
        contributors.id,
        contributors.identity_key,
        email_accounts.login,
        email_accounts.account_id,
        email_accounts.account_type,
        'e-mail ' || email_accounts.email || ' is that of ' || email_accounts.login
        || ' on GitHub, as commit ' || email_accounts.commit_hash || ' shows' as evidence
    from public.contributors
    inner join public.email_accounts on email_accounts.email = contributors.email
    where email_accounts.login is not null
    union all
    select
        id,
        identity_key,
        substring(identity_key from 7),
        account_id,
        case when identity_key like '%[bot]' then 'Bot' end,
        'noreply address of ' || substring(identity_key from 7)
        || coalesce(' with the account number ' || account_id, '')
    from public.contributors
    where identity_key like 'login:%'
),

numbers as (
    select
        lower(login) as login,
        max(account_id) as account_id
    from claimed
    where account_id is not null
    group by lower(login)
    having count(distinct account_id) = 1
),

keyed as (
    select
        claimed.*,
        coalesce(
            cast(coalesce(claimed.account_id, numbers.account_id) as text),
            'login:' || lower(claimed.login)
        ) as account
    from claimed
    left join numbers on numbers.login = lower(claimed.login)
)

select
    keyed.id,
    first_value(keyed.id) over by_account as root_id,
    keyed.account,
    keyed.evidence,
    first_value(keyed.login) over (
        partition by keyed.account
        order by keyed.identity_key like 'email:%' desc, keyed.login asc
    ) as login,
    max(keyed.account_id) over by_all as account_id,
    max(keyed.account_type) over by_all as account_type
from keyed
where not exists (
    select 1
    from public.contributor_merges as reverted
    where reverted.contributor_id = keyed.id and reverted.reverted_at is not null
)
window
    by_account as (
        partition by keyed.account
        order by keyed.identity_key like 'login:%' desc, keyed.identity_key asc
    ),
    by_all as (partition by keyed.account)
"""

MOVED = """
create temporary table moved on commit drop as
select
    contributors.id,
    desired.root_id,
    desired.account,
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
    update public.contributor_merges
    set ended_at = %(now)s
    from moved
    where contributor_merges.contributor_id = moved.id and contributor_merges.ended_at is null
    """,
    """
    insert into public.contributor_merges
        (contributor_id, merged_into, rule, evidence, merged_at)
    select id, root_id, 'same GitHub account ' || account, evidence, %(now)s
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
    set
        username = null,
        profile_url = null,
        account_type = null,
        account_id = case
            when contributors.identity_key like 'login:%%' then contributors.account_id
        end,
        updated_at = %(now)s
    from desired
    where
        contributors.id = desired.id
        and desired.id <> desired.root_id
        and coalesce(contributors.username, contributors.account_type) is not null
    """,
    """
    update public.contributors
    set
        username = desired.login,
        profile_url = 'https://github.com/' || desired.login,
        account_id = desired.account_id,
        account_type = desired.account_type,
        updated_at = %(now)s
    from desired
    where
        desired.id = desired.root_id
        and contributors.id = desired.root_id
        and (contributors.username, contributors.account_id, contributors.account_type)
        is distinct from (desired.login, desired.account_id, desired.account_type)
        and not exists (
            select 1
            from public.contributors as other
            where other.username = desired.login and other.id <> contributors.id
        )
    """,
)


@dataclass(frozen=True)
class PendingEmail:
    """An e-mail whose account is not known, and a commit on which GitHub can show it."""

    lookup: AccountLookup
    node_id: str
    name_with_owner: str


def pending_emails(connection: psycopg.Connection, recheck_before: datetime) -> list[PendingEmail]:
    """Distinct e-mails to look up, by repository; those of no account again after a while."""
    rows = connection.execute(PENDING, {"recheck_before": recheck_before})
    return [
        PendingEmail(AccountLookup(email, commit_hash, repository_id), node_id, name)
        for email, commit_hash, repository_id, node_id, name in rows
    ]


def save_accounts(
    connection: psycopg.Connection, lookups: Iterable[AccountLookup], now: datetime
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            SAVE,
            [
                (
                    each.email, each.login, each.account_id, each.account_type,
                    each.commit_hash, each.repository_id, now,
                )
                for each in lookups
            ],
        )  # fmt: skip


def merge_accounts(connection: psycopg.Connection) -> int:
    """Let one contributor stand for each GitHub account; returns how many identities moved.

    What is merged follows from the e-mails alone, so the order of loads does not matter and a
    second call changes nothing.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (MERGE_LOCK,))
        now = connection.execute("select clock_timestamp()").fetchone()
        assert now is not None
        parameters = {"now": now[0]}
        connection.execute(DESIRED)
        moved = connection.execute(MOVED).rowcount
        for statement in (*APPLY, *NAME_ROOTS) if moved else NAME_ROOTS:
            connection.execute(statement, parameters)
        return moved
