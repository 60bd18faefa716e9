"""Purges a person: what is known of them goes, a pseudonym stands in their place, counts stay."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import psycopg

from flows._shared.purged import (
    Person,
    Purged,
    address_of,
    is_pseudonym,
    of_names,
    plain,
    spellings,
    words_of,
)
from flows._shared.purged_postgres import pattern_of, read_purged, remember, take_turn
from flows.github_scraper.raw.application import has_own_tables
from flows.github_scraper.raw.commits import TAKE_MERGE_TURN
from flows.github_scraper.raw.purge.statements import (
    ALSO_THEIRS,
    ANNOTATE,
    CACHES,
    CALLED,
    COAUTHORS,
    COMMITS,
    CONTRIBUTORS,
    DESCRIBED,
    HELD_BY_OTHERS,
    HISTORY,
    IDENTITIES,
    KNOWN_AS,
    NOTES,
    OF_THE_APPLICATION,
    OTHERS_ARE_CALLED,
    REDESCRIBE,
    REWRITE_COMMIT,
    REWRITE_HISTORY,
    THEIRS,
    WITHOUT_ADDRESS,
    WROTE_AS,
)
from flows.github_scraper.raw.stage import PURGE_LOCK, PURGE_SCHEMA
from flows.github_scraper.records import AccountLookup, Signature
from flows.github_scraper.rules import (
    as_pseudonym,
    message_without,
    name_of_address,
    named_identity,
    signed,
)

ROWS_AT_A_TIME = 2_000
SHARED = "names that others sign with, too, which stay in texts"


def find_person(connection: psycopg.Connection, person: Person) -> frozenset[str]:
    """All names that belong to whoever has one of these; nothing is changed."""
    with connection.transaction(force_rollback=True):
        return _names(connection, person)[0]


def remember_person(
    connection: psycopg.Connection, names: Iterable[str], pseudonym: str, *, is_dry: bool = False
) -> tuple[Purged, str]:
    """Let loads, and a purge that is begun again, know these names; the list, and the pseudonym
    under which they are known, which a former purge may have given."""
    with connection.transaction(force_rollback=is_dry):
        take_turn(connection, PURGE_LOCK)
        return remember(connection, PURGE_SCHEMA, names, pseudonym, name_of_address)


def purge_person(
    connection: psycopg.Connection, person: Person, pseudonym: str, *, is_dry: bool = False
) -> tuple[dict[str, int], frozenset[str]]:
    """Purge whom these names belong to; rows by place, and all names that were found.

    Args:
        connection: in autocommit mode; the raw tables are there.
        pseudonym: stands for the person, unless a former purge gave them another.
        is_dry: all is counted, nothing is kept.
    """
    with connection.transaction(force_rollback=is_dry):
        take_turn(connection, PURGE_LOCK)
        connection.execute(TAKE_MERGE_TURN)
        names, aliases, shared = _names(connection, person)
        purged, pseudonym = remember(connection, PURGE_SCHEMA, names, pseudonym, name_of_address)
        counts = _purge(connection, purged, pseudonym, names, aliases)
        return counts | {SHARED: len(shared)}, names


def _names(
    connection: psycopg.Connection, person: Person
) -> tuple[frozenset[str], list[str], frozenset[str]]:
    """All names that belong to whoever has one of these, the entries of the list of aliases that
    name them, and those of their names that others have, too."""
    named = {name_of_address(email) for email in person.emails}
    named |= {f"email:{plain(email)}" for email in person.emails}
    named |= {f"login:{plain(login)}" for login in person.logins}
    named |= _remembered(connection, named)
    aliases = _of_the_list(connection, named)
    connection.execute(
        THEIRS,
        {
            "keys": sorted(named),
            "emails": _of_kind(named, "email:"),
            "logins": _of_kind(named, "login:"),
        },
    )
    held = {name for (name,) in connection.execute(HELD_BY_OTHERS)}
    found = {str(name) for (name,) in connection.execute(KNOWN_AS) if name} - held
    for (address,) in connection.execute(WROTE_AS):
        found |= {name_of_address(address), f"email:{plain(address)}"}
    found = {name for name in named | found if not _is_of_nobody(name)}
    called, shared = _called(connection, person, _of_kind(found, "email:"))
    _without_address(connection, called)
    if any(name.startswith("account:") for name in found):
        # Whose number is known is not whoever has the login later.
        found |= {name.replace("login:", "numbered:", 1) for name in found if "login:" in name}
    return frozenset(plain(name) for name in found | called), aliases, shared


def _remembered(connection: psycopg.Connection, named: set[str]) -> set[str]:
    """Names of a purge of the same person that was not finished."""
    purged = read_purged(connection, PURGE_SCHEMA, PURGE_LOCK, name_of_address)
    people = {purged.person(name) for name in named} - {None}
    found = set()
    for (name,) in connection.execute(IDENTITIES) if people else ():
        told = name if name is None or ":" in name else f"email:{plain(name)}"
        if told and purged.person(told) in people and not _is_of_nobody(told):
            found.add(told)
    return found


def _of_the_list(connection: psycopg.Connection, named: set[str]) -> list[str]:
    """The entries of the list of aliases that name the person; what they tell is named, too."""
    aliases: list[str] = []
    entries = connection.execute("select alias, person from public.contributor_aliases").fetchall()
    while True:
        spelled = named | {name.removeprefix("login:") for name in named}
        more = [
            (alias, listed)
            for alias, listed in entries
            if alias not in aliases
            and any(each in spelled for text in (alias, listed) for each in named_identity(text))
        ]
        for alias, listed in more:
            aliases.append(alias)
            for key, login in map(named_identity, (alias, listed)):
                named |= {key if ":" in key else f"login:{key}"} | ({f"login:{login}"} - {"login:"})
        if not more:
            return aliases


def _called(
    connection: psycopg.Connection, person: Person, emails: list[str]
) -> tuple[set[str], frozenset[str]]:
    """What the person is called that others are not, and what others are called, too."""
    called = {name for (name,) in connection.execute(CALLED) if name} | set(person.names)
    theirs = {name: spellings(name).keys() for name in called if not is_pseudonym(name)}
    theirs = {name: spelled for name, spelled in theirs.items() if spelled}
    if not theirs:
        return set(), frozenset()
    others: set[str] = set()
    for (name,) in connection.execute(OTHERS_ARE_CALLED, {"emails": emails}):
        others.update(spellings(name))
    shared = {name for name, spelled in theirs.items() if spelled & others}
    return theirs.keys() - shared, frozenset(shared)


def _without_address(connection: psycopg.Connection, called: Iterable[str]) -> None:
    by_name = of_names(called, "purged-000000000000")
    if not by_name:
        return
    more = [
        number
        for number, key in connection.execute(WITHOUT_ADDRESS).fetchall()
        if by_name.signed(name := key.partition("/")[2], "") != name
    ]
    connection.execute(ALSO_THEIRS, (more,))


def _is_of_nobody(name: str) -> bool:
    kind, colon, rest = name.partition(":")
    return kind in ("anonymous", "application", "purged") or (
        is_pseudonym(rest if colon else name) or not name.strip()
    )


def _of_kind(names: set[str] | frozenset[str], kind: str) -> list[str]:
    return sorted(name.removeprefix(kind) for name in names if name.startswith(kind))


def _purge(
    connection: psycopg.Connection,
    purged: Purged,
    pseudonym: str,
    names: frozenset[str],
    aliases: list[str],
) -> dict[str, int]:
    address = address_of(pseudonym)
    emails, logins = _of_kind(names, "email:"), _of_kind(names, "login:")
    called = [name for name in names if words_of(name)]
    root = connection.execute(
        "select coalesce((select id from public.contributors where identity_key = %s),"
        " (select min(root_id) from theirs))",
        (f"email:{address}",),
    ).fetchone()
    parameters = {
        "person": pseudonym,
        "address": address,
        "emails": emails,
        "logins": logins,
        "root": root and root[0],
        "pattern": pattern_of([*emails, *logins, *called]),
    }
    counts = {
        "public.contributors": _count(connection, "select count(*) from theirs"),
        "public.commit_coauthors": _count(
            connection,
            "select count(*) from public.commit_coauthors"
            " where identity_id in (select id from theirs)",
        ),
        "public.commits": _rewrite(connection, purged, pseudonym, parameters),
    }
    connection.execute("create temporary table theirs_before on commit drop as table theirs")
    for statement in (*COAUTHORS, *CONTRIBUTORS):
        connection.execute(statement.encode(), parameters)
    counts["public.contributor_aliases"] = connection.execute(
        "delete from public.contributor_aliases where alias = any(%s)", (aliases,)
    ).rowcount
    counts["github_api.responses"], *_ = (
        connection.execute(statement.encode(), parameters).rowcount for statement in CACHES
    )
    counts["public.repository_metadata"] = _retold(connection, purged, DESCRIBED, REDESCRIBE)
    counts["notes of other aliases"] = _retold(connection, purged, NOTES, ANNOTATE)
    if has_own_tables(connection):
        counts['public."Contributor"'] = connection.execute(
            OF_THE_APPLICATION.encode(), parameters
        ).rowcount
    counts["addresses of repositories, which stay"] = _count(
        connection,
        "select count(*) from public.repositories where url ~* %(pattern)s and %(logins)s <> '{}'",
        parameters,
    )
    return counts


def _count(
    connection: psycopg.Connection, statement: str, parameters: dict[str, object] | None = None
) -> int:
    row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])


def _rewrite(
    connection: psycopg.Connection,
    purged: Purged,
    pseudonym: str,
    parameters: dict[str, object],
) -> int:
    """Commits that name the person, as a load would write them now; how many."""
    count = 0
    with connection.cursor("purged_commits") as rows, connection.cursor() as cursor:
        rows.execute(COMMITS, parameters)
        while batch := rows.fetchmany(ROWS_AT_A_TIME):
            changed = list(_rewritten(purged, pseudonym, batch))
            cursor.executemany(REWRITE_COMMIT, changed)
            count += len(changed)
    return count


def _rewritten(
    purged: Purged, pseudonym: str, rows: list[tuple[object, ...]]
) -> Iterator[tuple[object, ...]]:
    for number, repository_id, is_author, *texts, message, coauthors in rows:
        assert isinstance(repository_id, int)
        assert isinstance(coauthors, list)
        author, committer = (_signature(*map(str, four)) for four in (texts[:4], texts[4:]))
        if is_author:
            author = as_pseudonym(author, pseudonym)
        else:
            author = signed(purged, author, repository_id)
        committer = signed(purged, committer, repository_id)
        theirs = frozenset(coauthors)

        def who(_: str, email: str, theirs: frozenset[str] = theirs) -> str | None:
            return pseudonym if email in theirs else None

        written = message_without(purged, str(message), who)
        values = (*_fields(author), *_fields(committer), written)
        if values != (*texts, message):
            yield (*values, number)


def _signature(name: str, email: str, name_mapped: str, email_mapped: str) -> Signature:
    return Signature(name, email, name_mapped, email_mapped, None, "")


def _fields(signature: Signature) -> tuple[str, str, str, str]:
    return signature.name, signature.email, signature.name_mapped, signature.email_mapped


def _retold(connection: psycopg.Connection, purged: Purged, read: str, write: str) -> int:
    """Texts that name the person, by what tells each from others; how many."""
    changed = [
        (shown, key)
        for key, text in connection.execute(read.encode()).fetchall()
        if (shown := purged.text(text)) != text
    ]
    with connection.cursor() as cursor:
        cursor.executemany(write.encode(), changed)
    return len(changed)


def purge_again(connection: psycopg.Connection, lookups: Iterable[AccountLookup]) -> int:
    """Addresses that GitHub tells to be a purged person's are theirs, too; how many they are."""
    purged = read_purged(connection, PURGE_SCHEMA, PURGE_LOCK, name_of_address)
    emails = defaultdict(list)
    for each in lookups if purged else ():
        if (person := _who_holds(purged, each)) is not None:
            emails[person].append(each.email)
    for person, theirs in emails.items():
        purge_person(connection, Person(emails=tuple(theirs)), person)
    return sum(map(len, emails.values()))


def _who_holds(purged: Purged, lookup: AccountLookup) -> str | None:
    """A login that another account has now is not that of whom it was."""
    if lookup.account_id is not None:
        person = purged.person(f"account:{lookup.account_id}")
        if person is not None or purged.person(f"numbered:{lookup.login}") is not None:
            return person
    return purged.person(f"login:{lookup.login}") if lookup.login else None


def purge_history(connection: psycopg.Connection, purged: Purged) -> int:
    """Descriptions in the history of metadata, which the role that builds owns; rows changed."""
    exists = connection.execute("select to_regclass('analytics.repository_metadata_history')")
    if exists.fetchone() == (None,):
        return 0
    return _retold(connection, purged, HISTORY, REWRITE_HISTORY)
