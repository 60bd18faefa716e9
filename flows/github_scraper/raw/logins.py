"""Logins that somebody else than the merge of accounts gave a contributor, such as the application:
they name it also while the merge shows another contributor with them."""

import psycopg

# What signatures say of an account is in `account_logins`.
NOTE_GIVEN = """
insert into public.given_logins (contributor_id, login, given_at)
select id, username, %(now)s
from public.contributors
where
    username is not null
    and signed_login is null
    and username is distinct from shown_login
    and identity_key <> 'login:' || public.folded_email(username)
    and not exists (
        select 1
        from public.given_logins as known
        where
            known.contributor_id = contributors.id
            and known.login = contributors.username
            and not exists (
                select 1
                from public.given_logins as newer
                where
                    newer.contributor_id = known.contributor_id
                    and newer.given_at > known.given_at
            )
            and not exists (
                select 1
                from public.given_logins as newer
                where
                    public.folded_email(newer.login) = public.folded_email(known.login)
                    and newer.given_at > known.given_at
            )
    )
on conflict (contributor_id, login) do update set given_at = excluded.given_at
"""

# A login names those to whom it was given last.
OWN = """
create temporary table own_logins on commit drop as
select id, login, given_at
from (
    select
        contributor_id as id,
        login,
        given_at,
        rank() over (partition by public.folded_email(login) order by given_at desc) as place
    from public.given_logins
) as ranked
where place = 1
"""

# A login is unique: those that it moves away from give it up first.
NAME_ROOTS = (
    """
    update public.contributors
    set username = null, shown_login = null, profile_url = null, updated_at = %(now)s
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
        shown_login = desired.username,
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


def note_given_logins(connection: psycopg.Connection, now: object) -> None:
    """Before a merge: which logins are whose own, in `own_logins`."""
    connection.execute(NOTE_GIVEN, {"now": now})
    connection.execute(OWN)
