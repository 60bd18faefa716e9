"""Purges a person from the DuckDB file: rows stay and count, a pseudonym stands where the name was.

Keys of points and events are hashes of what was sent and stay as they are: what is sent again is
known again.
"""

# ruff: noqa: S608  only constants of this file enter the SQL
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import duckdb

from flows._shared.inbox import Position
from flows._shared.purged import (
    KEY_BYTES,
    Person,
    Purged,
    address_of,
    entries,
    is_generic,
    plain,
    spellings,
)
from flows.agent_analytics.raw.purged import KEY, distinct_name, functions, read_purged, told
from flows.agent_analytics.raw.rows import consumed, ensure_schema
from flows.agent_analytics.raw.store import Store, told_when_full

# Of each raw table the columns that may name somebody: as a whole, in a text, or in a document.
NAMED: Mapping[str, Mapping[str, str]] = {
    "otel_counters": {
        "developer_id": "alone",
        "session_id": "session",
        "attributes": "json",
        "resource_attributes": "json",
    },
    "otel_logs": {
        "developer_id": "alone",
        "session_id": "session",
        "body": "piece",
        "attributes": "json",
        "resource_attributes": "json",
    },
    "developer_identities": {"developer_id": "alone", "identity": "alone"},
    "git_commits": {
        "author_name": "signed",
        "author_email": "alone",
        "developer_id": "alone",
        "commit_message": "text",
        "co_authors": "text",
        "agent_session_id": "session",
    },
    "copilot_metrics": {"developer_id": "distinct"},
    "rejected": {"excerpt": "piece", "source": "text"},
}
# Rows of these would be two where the person had two names.
UNIQUE = {
    "developer_identities": ("developer_id", "identity"),
    "rejected": ("source", "reason", "excerpt"),
}
CONSUMER = "agent_analytics"
NOREPLY_LOGIN = re.compile(r"(?:[0-9]+\+)?([^@+]+)@users\.noreply\.github\.com")
# Who the marts count as one developer is one person.
SAME_DEVELOPER = """
select name from intermediate.int_developer_names
where developer_id in (
    select developer_id from intermediate.int_developer_names where list_contains(?, name)
)
"""
IS_BUILT = """
select 1 from information_schema.tables
where table_schema = 'intermediate' and table_name = 'int_developer_names'
"""
IDENTITIES = """
select lower(trim(developer_id)), lower(trim(identity)) from raw.developer_identities
"""
CALLED = """
select distinct author_name
from raw.git_commits
where author_name is not null and list_contains(?, lower(trim(author_email)))
"""
# Who gave no address may be anybody, also them.
OTHERS_ARE_CALLED = """
select distinct author_name
from raw.git_commits
where
    author_name is not null
    and author_email like '%@%'
    and not list_contains(?, lower(trim(author_email)))
"""
TOLD = """
select developer_id from raw.otel_counters
union
select developer_id from raw.otel_logs
union
select developer_id from raw.copilot_metrics
union
select unnest([developer_id, author_email]) from raw.git_commits
union
select unnest([developer_id, identity]) from raw.developer_identities
"""
SHARED = "names that others sign with, too, which stay in texts"


def find_person(store: Store, person: Person) -> frozenset[str]:
    """All names that belong to whoever has one of these; nothing is changed."""
    with store.connect() as connection:
        ensure_schema(connection)
        return _names(connection, person)[0]


@told_when_full
def remember_person(
    store: Store, names: Iterable[str], pseudonym: str, *, is_dry: bool = False
) -> Purged:
    """Let loads, and a purge that is begun again, know these names; the list."""
    with store.connect() as connection:
        ensure_schema(connection)
        connection.begin()
        purged = _remember(connection, names, pseudonym)
        if is_dry:
            connection.rollback()
        else:
            connection.commit()
        return purged


@told_when_full
def purge_person(
    store: Store, person: Person, pseudonym: str, *, is_dry: bool = False
) -> tuple[dict[str, int], frozenset[str]]:
    """Purge whom these names belong to; rows and files by place, and all names that were found.

    The caller holds the lock, builds the marts anew and publishes.

    Args:
        pseudonym: stands for the person, unless a former purge gave them another.
        is_dry: all is counted, nothing is kept.
    """
    with store.connect() as connection:
        ensure_schema(connection)
        connection.begin()
        try:
            names, shared = _names(connection, person)
            purged = _remember(connection, names, pseudonym)
            counts = _rewrite(connection, purged)
            _connect(connection, purged, names)
        except BaseException:
            connection.rollback()
            raise
        if is_dry:
            connection.rollback()
        else:
            connection.commit()
    copies = _damaged_copies(store)
    if not is_dry:
        for path in copies:
            path.unlink()
    return {**counts, SHARED: len(shared), "copies that were damaged": len(copies)}, names


def loaded_up_to(store: Store) -> int:
    """The position of the inbox up to which deliveries were loaded."""
    with store.connect() as connection:
        ensure_schema(connection)
        position = consumed(connection, CONSUMER)
        return Position.from_json(position).number if position else 0


def _damaged_copies(store: Store) -> list[Path]:
    """What was kept of files that were damaged: whatever they hold, nobody reads it."""
    return sorted(store.path.parent.glob(f"{store.path.name}.damaged-*"))


def forget_former_rows(store: Store) -> None:
    """Write the file anew: deleted rows stay in the blocks of a DuckDB file until others need them.

    The caller holds the lock, and nobody has the file open.
    """
    fresh = store.path.with_name(f"{store.path.name}.fresh")
    for path in (fresh, Path(f"{fresh}.wal")):
        path.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        for name, path in (("former", store.path), ("fresh", fresh)):
            connection.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as {name}")
        connection.execute("copy from database former to fresh")
    fresh.replace(store.path)
    with suppress(FileNotFoundError):
        store.wal_path.unlink()


def _names(
    connection: duckdb.DuckDBPyConnection, person: Person
) -> tuple[frozenset[str], frozenset[str]]:
    """All names that belong to whoever has one of these, and those that others have, too."""
    given = {plain(each) for each in (*person.emails, *person.logins)}
    named = given | _remembered(connection, given)
    if connection.execute(IS_BUILT).fetchone():
        named |= {
            name for (name,) in connection.execute(SAME_DEVELOPER, [sorted(named)]).fetchall()
        }
    pairs = connection.execute(IDENTITIES).fetchall()
    for developer, identity in pairs:
        if developer in named and all(each in named for each, other in pairs if other == identity):
            named.add(identity)
    named = {
        name for name in named if name and (name in given or "@" in name or not is_generic(name))
    }
    named |= {f"login:{match[1]}" for name in named if (match := NOREPLY_LOGIN.fullmatch(name))}
    called = {plain(name) for (name,) in connection.execute(CALLED, [sorted(named)]).fetchall()}
    called = {name for name in called | {*map(plain, person.names)} if spellings(name)}
    others: set[str] = set()
    for (name,) in (
        connection.execute(OTHERS_ARE_CALLED, [sorted(named)]).fetchall() if called else ()
    ):
        others.update(spellings(name))
    shared = {name for name in called if spellings(name).keys() & others}
    named = (named | called) - shared
    named |= {f"email:{name}" for name in named if "@" in name and ":" not in name}
    named |= {f"login:{plain(login)}" for login in person.logins}
    return frozenset(named - {"", "unknown"}), frozenset(shared)


def _remembered(connection: duckdb.DuckDBPyConnection, named: Iterable[str]) -> set[str]:
    """Names of a purge of the same person that was not finished."""
    purged = read_purged(connection)
    people = {purged.person(name) for name in named} - {None}
    if not people:
        return set()
    told = {plain(name) for (name,) in connection.execute(TOLD).fetchall() if name}
    return {name for name in told if purged.person(name) in people}


def _remember(
    connection: duckdb.DuckDBPyConnection, names: Iterable[str], pseudonym: str
) -> Purged:
    if connection.execute(KEY).fetchone() is None:
        connection.execute(
            "insert into raw.purged_key values (?)", [secrets.token_bytes(KEY_BYTES)]
        )
    listed = read_purged(connection)
    key = connection.execute(KEY).fetchall()[0][0]
    listed = Purged(bytes(key), listed.people, listed.words)
    names = sorted(names)
    known = next((found for name in names if (found := listed.person(name))), pseudonym)
    for name_hash, words, beginning in entries(listed, names):
        connection.execute(
            "insert or ignore into raw.purged_names"
            " values (?, ?, ?, cast(now() at time zone 'UTC' as timestamp), ?)",
            [name_hash, words, known, beginning],
        )
    return read_purged(connection)


def _connect(connection: duckdb.DuckDBPyConnection, purged: Purged, names: Iterable[str]) -> None:
    """All pseudonyms of a person are one developer, as the names were."""
    for name in names:
        person = purged.person(name)
        if person is None or ":" in name:
            continue
        for shown in {person, distinct_name(purged, name)}:
            connection.execute(
                "insert or ignore into raw.developer_identities"
                " values (?, ?, cast(now() at time zone 'UTC' as timestamp))",
                [address_of(person), shown],
            )


def _rewrite(connection: duckdb.DuckDBPyConnection, purged: Purged) -> dict[str, int]:
    with functions(connection, purged):
        return {f"raw.{table}": _rewrite_table(connection, table) for table in NAMED}


def _rewrite_table(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    columns = NAMED[table]
    shown = ", ".join(f"{told(column, rule)} as {column}" for column, rule in columns.items())
    differs = " or ".join(
        f"cast(seen.{column} as varchar) is distinct from cast(rows.{column} as varchar)"
        for column in columns
    )
    connection.execute(
        f"""
        create or replace temp table shown_rows as
        select rows.rowid as row, seen.*
        from raw.{table} as rows
        inner join (select rowid as row, {shown} from raw.{table}) as seen
            on rows.rowid = seen.row
        where {differs}
        """
    )
    count = int(connection.execute("select count(*) from shown_rows").fetchall()[0][0])
    if count and table in UNIQUE:
        _replace_unique(connection, table)
    elif count:
        values = ", ".join(f"{column} = shown_rows.{column}" for column in columns)
        connection.execute(
            f"update raw.{table} as rows set {values} from shown_rows"
            " where rows.rowid = shown_rows.row"
        )
    connection.execute("drop table shown_rows")
    return count


def _replace_unique(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    columns = [
        name
        for (name,) in connection.execute(
            "select column_name from information_schema.columns"
            " where table_schema = 'raw' and table_name = ? order by ordinal_position",
            [table],
        ).fetchall()
    ]
    kept = ", ".join(
        f"shown_rows.{name}" if name in NAMED[table] else f"rows.{name}" for name in columns
    )
    connection.execute(
        f"create or replace temp table replaced as select {kept} from raw.{table} as rows"
        " inner join shown_rows on rows.rowid = shown_rows.row"
    )
    connection.execute(f"delete from raw.{table} where rowid in (select row from shown_rows)")
    connection.execute(f"insert or ignore into raw.{table} select * from replaced")
    connection.execute("drop table replaced")
