"""Which e-mails belong to which GitHub account."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import psycopg

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
        (
            commits.author_email = contributors.email
            or public.folded_email(commits.author_email) = contributors.email
        ) desc,
        commits.committed_at desc,
        commits.commit_hash desc
    limit 1
) as sample
left join public.email_accounts on email_accounts.email = contributors.email
where
    contributors.email is not null
    and contributors.email not like '%%@purged.invalid'
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
