"""Who is listed as whom."""

import psycopg

from flows.github_scraper.rules import named_identity

LISTED = """
create temporary table listed (
    alias_name text not null, person_name text not null, told text not null,
    created_at timestamptz not null
) on commit drop
"""


def list_aliases(connection: psycopg.Connection) -> None:
    """Who is listed as whom, by the identities that the same rule finds in signatures."""
    aliases = connection.execute(
        "select alias, person, note, created_at from public.contributor_aliases"
    ).fetchall()
    connection.execute(LISTED)
    with connection.cursor().copy("copy listed from stdin") as copy:
        for alias, person, note, created_at in aliases:
            told = f"{alias} is {person}" + (f" ({note})" if note is not None else "")
            copy.write_row((named_identity(alias), named_identity(person), told, created_at))
