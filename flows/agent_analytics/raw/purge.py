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
from flows._shared.purged import KEY_BYTES, Person, Purged, address_of, plain, words_of
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
        "body": "text",
        "attributes": "json",
        "resource_attributes": "json",
    },
    "developer_identities": {"developer_id": "alone", "identity": "alone"},
    "git_commits": {
        "author_name": "alone",
        "author_email": "alone",
        "developer_id": "alone",
        "commit_message": "text",
        "co_authors": "text",
        "agent_session_id": "session",
    },
    "copilot_metrics": {"developer_id": "distinct"},
    "rejected": {"excerpt": "excerpt", "source": "text"},
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
select distinct author_name from raw.git_commits where list_contains(?, lower(trim(author_email)))
"""


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
            names = _names(connection, person)
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
    return {**counts, "copies that were damaged": len(copies)}, names


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


def _names(connection: duckdb.DuckDBPyConnection, person: Person) -> frozenset[str]:
    named = {plain(each) for each in (*person.emails, *person.logins, *person.names)}
    if connection.execute(IS_BUILT).fetchone():
        named |= {
            name for (name,) in connection.execute(SAME_DEVELOPER, [sorted(named)]).fetchall()
        }
    pairs = connection.execute(IDENTITIES).fetchall()
    for developer, identity in pairs:
        if developer in named and all(each in named for each, other in pairs if other == identity):
            named.add(identity)
    named |= {f"login:{match[1]}" for name in named if (match := NOREPLY_LOGIN.fullmatch(name))}
    called = connection.execute(CALLED, [sorted(named)]).fetchall()
    named |= {plain(name) for (name,) in called if words_of(name or "")}
    named |= {f"email:{name}" for name in named if "@" in name and ":" not in name}
    named |= {f"login:{plain(login)}" for login in person.logins}
    return frozenset(named - {"", "unknown"})


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
    for name in names:
        connection.execute(
            "insert or ignore into raw.purged_names"
            " values (?, ?, ?, cast(now() at time zone 'UTC' as timestamp))",
            [listed.hash_of(name), words_of(name), known],
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
