"""The list of purged people in PostgreSQL: ``purged_key`` and ``purged_names`` of a schema.

purge: take_turn(connection, lock); remember(...)
load:  read_purged(connection, schema, lock)      # the list holds until the load's commit
"""

import re
import secrets
from collections.abc import Callable, Iterable

import psycopg
from psycopg import sql

from flows._shared.purged import KEY_BYTES, Purged, entries, nobody, of_address, plain, remembered

NOT_OF_A_WORD = re.compile(r"[\W_]")


def read_purged(
    connection: psycopg.Connection,
    schema: str,
    lock: int,
    name_of: Callable[[str], str] = of_address,
) -> Purged:
    """Who was purged. A purge waits for the transaction that read this, and the other way round.

    Args:
        connection: within the transaction that writes what was read by this list.
        lock: the number of the advisory lock of the store's purges.
        name_of: see `Purged`.
    """
    connection.execute("select pg_advisory_xact_lock_shared(%s)", (lock,))
    return _listed(connection, schema, name_of)


def take_turn(connection: psycopg.Connection, lock: int) -> None:
    """Wait for loads that began before this purge; later ones wait for its commit."""
    connection.execute("select pg_advisory_xact_lock(%s)", (lock,))


def remember(
    connection: psycopg.Connection,
    schema: str,
    names: Iterable[str],
    person: str,
    name_of: Callable[[str], str] = of_address,
) -> tuple[Purged, str]:
    """Keep hashes of names; the list with them, and the pseudonym under which they are kept.

    That is the given one, unless one of the names is known under another.
    """
    names = sorted({plain(name) for name in names})
    connection.execute(
        sql.SQL("insert into {} (key) select %s where not exists (select 1 from {})").format(
            *(sql.Identifier(schema, "purged_key"),) * 2
        ),
        (secrets.token_bytes(KEY_BYTES),),
    )
    listed = _listed(connection, schema, name_of)
    known = next((found for name in names if (found := listed.person(name))), person)
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "insert into {} (name_hash, words, beginning, person) values (%s, %s, %s, %s)"
                " on conflict (name_hash) do nothing"
            ).format(sql.Identifier(schema, "purged_names")),
            [(*entry, known) for entry in entries(listed, names)],
        )
    return _listed(connection, schema, name_of), known


def pattern_of(names: Iterable[str]) -> str:
    """A regular expression of PostgreSQL that finds texts in which one of these may stand.

    Raises:
        ValueError: there are none.
    """
    found = sorted(
        {
            r"\s+".join(NOT_OF_A_WORD.sub(lambda sign: "\\" + sign[0], word) for word in words)
            for name in names
            if (words := name.split())
        }
    )
    if not found:
        raise ValueError("no name to look for")
    return "|".join(found)


def _listed(connection: psycopg.Connection, schema: str, name_of: Callable[[str], str]) -> Purged:
    key = connection.execute(
        sql.SQL("select key from {}").format(sql.Identifier(schema, "purged_key"))
    ).fetchone()
    if key is None:
        return nobody()
    rows = connection.execute(
        sql.SQL("select name_hash, words, beginning, person from {}").format(
            sql.Identifier(schema, "purged_names")
        )
    ).fetchall()
    return remembered(bytes(key[0]), rows, name_of)
