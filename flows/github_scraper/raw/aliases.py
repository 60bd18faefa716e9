"""Who is listed as whom."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from flows.github_scraper.rules import named_identity

# Over so many names that nobody signs with an alias is followed to its person, and so many entries
# tell why a group is one.
FARTHEST = 50
TOLD = 20
NAMED = 5


class Name(NamedTuple):
    """An identity key or a login, and the login on github.com that was told with it."""

    key: str
    login: str

    @property
    def spellings(self) -> list[str]:
        return sorted({self.key, self.login} - {""})

    def may_be(self, other: "Name") -> bool:
        """Whether both are one where nobody signs with either; a number is never another."""
        if self.key == other.key:
            return True
        are_numbers = self.key.startswith("account:") and other.key.startswith("account:")
        return self.login == other.login != "" and not are_numbers


class Entry(NamedTuple):
    alias: Name
    person: Name
    told: str
    listed_at: datetime


# A key that somebody signs with is that identity alone. A login that is told otherwise is that of
# whoever has it, but not of an account with another number than the one that is told.
MEANT = """
with logins as (
    select contributors.id, public.folded_email(email_accounts.login) as login
    from public.contributors
    inner join public.email_accounts on email_accounts.email = contributors.email
    where email_accounts.login is not null
    union
    select id, public.folded_email(login) from own_logins
    union
    select id, substring(identity_key from 7)
    from public.contributors
    where identity_key like 'login:%%'
    union
    select contributor_id, login from public.account_logins
),

spelled as (
    select distinct spelled.key, spelled.login, known.id
    from unnest(%(keys)s::text[], %(logins)s::text[]) as spelled (key, login)
    left join public.contributors as known on known.identity_key = spelled.key
)

select key, login, id from spelled where id is not null
union
select spelled.key, spelled.login, logins.id
from spelled
inner join logins on logins.login = spelled.login
inner join public.contributors on contributors.id = logins.id
where
    spelled.id is null
    and (spelled.key = spelled.login or contributors.identity_key !~ '^(account|login):.*/')
    and (spelled.key not like 'account:%%' or contributors.identity_key not like 'account:%%')
order by 1, 2, 3
"""

LISTED = """
select alias, person, note, created_at from public.contributor_aliases order by created_at, alias
"""

MISSPELLED = """
select domain || ' is ' || organization
from public.organization_domains
where not public.is_email_domain(domain) or organization !~ '[^[:space:]]'
order by id
"""

REVERTED = """
select contributor_id, max(reverted_at)
from public.contributor_merges
where reverted_at is not null
group by contributor_id
"""

LINKS = """
select aliases.account, people.account, named.told
from named
inner join members as aliases on aliases.id = named.alias_id
inner join members as people on people.id = named.person_id
"""


def list_aliases(connection: psycopg.Connection) -> list[str]:
    """Make the table `named`, of which contributors are listed as which, by the identities that the
    same rule finds in signatures. Returns what of the list leads nowhere.

    A name that nobody signs with leads on to whom it is listed as. The newest word of a person
    holds: an alias or a reverted merge. Entries that contradict each other say nothing.
    """
    entries = _entries(connection)
    contradicting = set(_contradicting(entries))
    entries = [entry for entry in entries if entry not in contradicting]
    meant = _meant(connection, {name for entry in entries for name in (entry.alias, entry.person)})
    # Of one link in several spellings the newest is meant.
    links = {(entry.alias, entry.person): entry for entry in entries}
    onward: dict[str, list[Entry]] = defaultdict(list)
    for entry in links.values():
        for spelling in entry.alias.spellings:
            onward[spelling].append(entry)
    reverted: dict[int, datetime] = dict(connection.execute(REVERTED).fetchall())
    connection.execute(
        "create temporary table named (alias_id bigint not null, person_id bigint not null,"
        " told text not null) on commit drop"
    )
    too_far: list[str] = []
    with connection.cursor().copy("copy named from stdin") as copy:
        for start in links.values():
            for person, told, listed_at in _followed(start, onward, meant, too_far):
                ids = [
                    each
                    for each in meant.get(start.alias, ())
                    if each not in reverted or reverted[each] <= listed_at
                ]
                # A star joins them as all pairs would.
                pairs = {(each, meant[person][0]) for each in ids}
                pairs |= {(ids[0], each) for each in meant[person] if ids}
                for pair in sorted(pairs):
                    copy.write_row((*pair, told))
    nobody = [entry.told for entry in entries if entry.alias not in meant]
    return [
        *_counted("aliases of nobody who signs", nobody),
        *_counted(f"aliases over more than {FARTHEST} names that nobody signs with", too_far),
    ]


def wrong_lines(connection: psycopg.Connection) -> list[str]:
    """What people listed and has to be corrected: aliases that are said to be several people, and
    domains of before the rules that refuse them."""
    aliases = [entry.told for entry in _contradicting(_entries(connection))]
    domains = [told for (told,) in connection.execute(MISSPELLED)]
    return [
        f"{told}: correct or delete what is wrong"
        for told in (
            *_counted(
                "lines of public.contributor_aliases say of one alias that it is several people,"
                " and merge nobody",
                aliases,
            ),
            *_counted(
                "lines of public.organization_domains are not written as its rules want", domains
            ),
        )
    ]


def _entries(connection: psycopg.Connection) -> list[Entry]:
    return [
        Entry(
            Name(*named_identity(alias)),
            Name(*named_identity(person)),
            f"{alias} is {person}" + (f" ({note})" if note is not None else ""),
            listed_at,
        )
        for alias, person, note, listed_at in connection.execute(LISTED)
    ]


def _contradicting(entries: Sequence[Entry]) -> list[Entry]:
    """Those that name one alias, in whatever spelling, as different people."""
    spelled: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        for spelling in entry.alias.spellings:
            spelled[spelling].append(entry)
    return [
        entry
        for entry in entries
        if any(
            entry.alias.may_be(other.alias) and not entry.person.may_be(other.person)
            for spelling in entry.alias.spellings
            for other in spelled[spelling]
        )
    ]


def _meant(connection: psycopg.Connection, names: set[Name]) -> dict[Name, list[int]]:
    meant: dict[Name, list[int]] = defaultdict(list)
    keys, logins = [each.key for each in names], [each.login for each in names]
    for key, login, id_ in connection.execute(MEANT, {"keys": keys, "logins": logins}):
        meant[Name(key, login)].append(id_)
    return dict(meant)


def _followed(
    start: Entry,
    onward: dict[str, list[Entry]],
    meant: dict[Name, list[int]],
    too_far: list[str],
) -> Iterator[tuple[Name, str, datetime]]:
    """Whom an entry leads to, with all that was told on the way, and when the last of it was."""
    if start.alias not in meant:
        return
    ways: list[tuple[tuple[Entry, ...], datetime]] = [((start,), start.listed_at)]
    passed = {start.alias, start.person}
    while ways:
        way, listed_at = ways.pop()
        name = way[-1].person
        if name in meant:
            yield name, "; ".join(entry.told for entry in way), listed_at
            continue
        further = [
            entry
            for spelling in name.spellings
            for entry in onward.get(spelling, ())
            if name.may_be(entry.alias) and entry.person not in passed
        ]
        if further and (len(way) > FARTHEST or len(passed) > FARTHEST * TOLD):
            too_far.append(start.told)
            return
        for entry in further:
            if entry.person not in passed:
                passed.add(entry.person)
                ways.append(((*way, entry), max(listed_at, entry.listed_at)))


def group_accounts(connection: psycopg.Connection) -> None:
    """Make the table `groups`, of which accounts of `members` are one by `named`, and why."""
    first: dict[str, str] = {}

    def found(account: str) -> str:
        root = account
        while first.setdefault(root, root) != root:
            root = first[root]
        while first[account] != root:
            first[account], account = root, first[account]
        return root

    links = connection.execute(LINKS).fetchall()
    for one, other, _ in links:
        least, most = sorted((found(one), found(other)))
        first[most] = least
    told: dict[str, set[str]] = defaultdict(set)
    for one, _, words in links:
        told[found(one)].add(words)
    evidence = {}
    for group, words in told.items():
        more = len(words) - TOLD
        evidence[group] = "; ".join(sorted(words)[:TOLD]) + (f"; {more} more" if more > 0 else "")
    connection.execute(
        "create temporary table groups (account text not null, group_name text not null,"
        " told text not null) on commit drop"
    )
    with connection.cursor().copy("copy groups from stdin") as copy:
        for account in list(first):
            copy.write_row((account, found(account), evidence[found(account)]))
    connection.execute("analyze named, groups")


def _counted(what: str, told: list[str]) -> list[str]:
    if not told:
        return []
    more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return [f"{len(told)} {what}: {', '.join(told[:NAMED])}{more}"]
