"""Shows people who were purged from the DuckDB file by their pseudonym, in rows and in tables."""

# ruff: noqa: S608  only constants of this package enter the SQL
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import duckdb

from flows._shared.purged import Purged, nobody, remembered
from flows.agent_analytics.raw.otlp.shapes import NO_SESSION
from flows.agent_analytics.records import Commit, CopilotDay, Rejected

KEY = "select key from raw.purged_key"
LISTED = "select name_hash, words, beginning, person from raw.purged_names"

# The column of whose address it is a name is that of somebody else.
SIGNED_WITH = {"author_name": "author_email"}


def read_purged(connection: duckdb.DuckDBPyConnection) -> Purged:
    """Who was purged from this file."""
    key = connection.execute(KEY).fetchone()
    if key is None:
        return nobody()
    rows = connection.execute(LISTED).fetchall()
    return remembered(bytes(key[0]), rows)


def distinct_name(purged: Purged, name: str) -> str:
    """Another pseudonym for each name of a person: both may have a row of one day."""
    shown = purged.alone(name)
    return shown if shown == name else f"{shown}/{purged.hash_of(name).hex()[:8]}"


def shown_rows(
    purged: Purged, rows: Iterable[Commit | CopilotDay | Rejected]
) -> Iterator[Commit | CopilotDay | Rejected]:
    """Rows as they are kept."""
    for row in rows:
        match row:
            case Commit():
                yield _shown_commit(purged, row)
            case CopilotDay():
                yield replace(row, developer_id=distinct_name(purged, row.developer_id))
            case Rejected():
                yield replace(row, excerpt=purged.piece(row.excerpt))


def _shown_commit(purged: Purged, commit: Commit) -> Commit:
    return replace(
        commit,
        author_name=purged.signed(commit.author_name, commit.author_email),
        author_email=purged.alone(commit.author_email),
        message=purged.text(commit.message),
        developer_id=commit.developer_id and purged.alone(commit.developer_id),
        co_authors=commit.co_authors and purged.text(commit.co_authors),
    )


def show_purged(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]
) -> None:
    """Change a table of this load, in which nothing is unique.

    Args:
        columns: how each is read: ``alone``, ``signed``, ``text``, ``piece``, ``json`` or
            ``session``.
    """
    if purged := read_purged(connection):
        with functions(connection, purged):
            values = ", ".join(f"{name} = {told(name, rule)}" for name, rule in columns.items())
            connection.execute(f"update {table} set {values}")


def told(column: str, rule: str) -> str:
    """The column as it is kept, by `functions`."""
    if rule == "signed":
        return f"shown_signed({column}, coalesce({SIGNED_WITH[column]}, ''))"
    shown = f"shown_{rule}(cast({column} as varchar))"
    return f"cast({shown} as json)" if rule == "json" else shown


@contextmanager
def functions(connection: duckdb.DuckDBPyConnection, purged: Purged) -> Iterator[None]:
    """Functions of SQL that read a text by each rule."""

    def session(text: str) -> str:
        # The session of telemetry that names none holds its developer.
        if text.startswith(NO_SESSION):
            return NO_SESSION + purged.alone(text.removeprefix(NO_SESSION))
        return text

    rules = {
        "alone": purged.alone,
        "text": purged.text,
        "json": purged.json,
        "piece": purged.piece,
        "distinct": lambda text: distinct_name(purged, text),
        "session": session,
    }
    for name, rule in rules.items():
        connection.create_function(f"shown_{name}", rule, ["VARCHAR"], "VARCHAR")
    connection.create_function("shown_signed", purged.signed, ["VARCHAR", "VARCHAR"], "VARCHAR")
    try:
        yield
    finally:
        for name in (*rules, "signed"):
            connection.remove_function(f"shown_{name}")
