"""Who signs: a row for each identity of a stage, and for each address the one whose it is."""

from collections.abc import Mapping

import psycopg

from flows._shared.counted import counted

ATTEMPTS = 5
NAMED = 5

MERGE_CONTRIBUTORS = """
insert into public.contributors as known
    (identity_key, username, email, account_id, profile_url, created_at, updated_at)
select
    identity_key,
    case when is_free then username end,
    email,
    account_id,
    case when is_free then 'https://github.com/' || username end,
    %(now)s,
    %(now)s
from (
    -- The merge of accounts settles who has a login that several claim.
    select
        identities.*,
        row_number() over (
            partition by username order by account_id desc nulls last, identity_key
        ) = 1
        and not exists (
            select 1 from public.contributors as other
            where
                public.folded_email(other.username) = identities.username
                and other.identity_key <> identities.identity_key
        ) as is_free
    from (
        select distinct on (identity_key) identity_key, username, email, account_id
        from (
            select identity_key, username, email, account_id from stage_commits
            union all
            select identity_key, username, email, account_id from stage_coauthors
        ) as staged
        order by identity_key asc, account_id asc nulls last, username asc
    ) as identities
) as claimed
on conflict (identity_key) do update
set account_id = excluded.account_id
where known.account_id is null and excluded.account_id is not null
"""

# An address is an identity. The application may have written it into the row of another person, who
# gives it up once somebody signs with it; it is kept where people can look.
GIVE_UP_EMAILS = """
with signing as (
    select email from stage_commits
    union
    select email from stage_coauthors
),

held as (
    select holders.id, holders.identity_key, holders.email, signing.email as identity
    from public.contributors as holders
    inner join signing on signing.email = public.folded_email(holders.email)
    where
        holders.identity_key <> 'email:' || signing.email
        and not exists (
            select 1 from public.contributors as known
            where
                known.identity_key = 'email:' || signing.email
                and coalesce(known.merged_into, known.id)
                = coalesce(holders.merged_into, holders.id)
        )
    for update of holders
),

given_up as (
    update public.contributors
    set email = null, updated_at = %(now)s
    from held
    where contributors.id = held.id
)

insert into public.contributor_email_conflicts (contributor_id, email, noticed_at)
select id, email, %(now)s from held
on conflict (contributor_id, email) do update set noticed_at = excluded.noticed_at
returning contributor_id, email
"""

CONFLICTS = """
select given_up.email, holders.id, holders.identity_key, signers.id
from unnest(%s::bigint[], %s::text[]) as given_up (contributor_id, email)
inner join public.contributors as holders on holders.id = given_up.contributor_id
inner join public.contributors as signers
    on signers.identity_key = 'email:' || public.folded_email(given_up.email)
order by holders.id
"""


def merge_contributors(
    connection: psycopg.Connection, parameters: Mapping[str, object]
) -> list[str]:
    """Have a row for every identity of the stage; returns which addresses changed rows for it.

    What the application writes meanwhile is seen by another attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                given_up = connection.execute(GIVE_UP_EMAILS, parameters).fetchall()
                connection.execute(MERGE_CONTRIBUTORS, parameters)
            return _told(connection, given_up) if given_up else []
        except psycopg.errors.UniqueViolation:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError


def _told(connection: psycopg.Connection, given_up: list[tuple[int, str]]) -> list[str]:
    ids, emails = zip(*given_up, strict=True)
    notes = [
        f"{email} stood in the row of contributor {holder} ({key}) and is the address of "
        f"contributor {signer}, who signs with it: taken out of the former and kept in "
        "public.contributor_email_conflicts; if both are one person, list them in "
        "public.contributor_aliases"
        for email, holder, key, signer in connection.execute(CONFLICTS, (list(ids), list(emails)))
    ]
    more = len(notes) - NAMED
    return notes[:NAMED] + (
        [f"{counted(more, 'more address', 'more addresses')} changed rows so"] if more > 0 else []
    )
