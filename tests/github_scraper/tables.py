"""The raw tables as values: everything but surrogate keys and load times."""

from typing import Any

import psycopg

QUERIES = {
    "commits": """
        select repositories.url, contributors.identity_key, commit_hash, parent_hashes,
            commit_date, committed_at, author_epoch_seconds, author_utc_offset,
            committer_epoch_seconds, committer_utc_offset, is_date_clamped,
            author_name, author_email, author_name_mapped, author_email_mapped,
            committer_name, committer_email, committer_name_mapped, committer_email_mapped,
            commit_message, is_encoding_valid, lines_added, lines_deleted, files_changed,
            binary_files_changed, lines_added_vendored, lines_deleted_vendored,
            lines_added_generated, lines_deleted_generated, lines_added_locked,
            lines_deleted_locked, source, orphaned_at is not null as is_orphaned
        from public.commits
        inner join public.repositories on repositories.id = commits.repository_id
        inner join public.contributors on contributors.id = commits.contributor_id
        order by url, commit_hash
    """,
    "contributors": """
        select identity_key, username, email, display_name, profile_url
        from public.contributors order by identity_key
    """,
    "commit_coauthors": """
        select repositories.url, commit_hash, position, identity_key, name,
            commit_coauthors.email
        from public.commit_coauthors
        inner join public.repositories on repositories.id = commit_coauthors.repository_id
        inner join public.contributors on contributors.id = commit_coauthors.contributor_id
        order by url, commit_hash, position
    """,
    "repository_contributors": """
        select repositories.url, identity_key, commit_count
        from public.repository_contributors
        inner join public.repositories on repositories.id = repository_id
        inner join public.contributors on contributors.id = contributor_id
        order by url, identity_key
    """,
    "repository_heads": """
        select repositories.url, ref, head_hash, mailmap_hash, shallow_boundary, attributes_hash
        from public.repository_heads
        inner join public.repositories on repositories.id = repository_id
        order by url
    """,
    "repositories": """
        select url, path_name, state, error_message, is_empty
        from public.repositories order by url
    """,
}


def contents(connection: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: connection.execute(query).fetchall() for name, query in QUERIES.items()}


# What the API cannot tell: which files are binary, and which lines of which class; REST also not in
# which time zone someone was.
BY_CLASS = tuple(
    f"lines_{what}_{kind}"
    for kind in ("vendored", "generated", "locked")
    for what in ("added", "deleted")
)
UNTOLD = {
    "graphql": ("source", "binary_files_changed", "attributes_hash", *BY_CLASS),
    "rest": (
        *("source", "binary_files_changed", "attributes_hash", *BY_CLASS),
        *("author_utc_offset", "committer_utc_offset"),
    ),
}


def comparable(connection: psycopg.Connection, path: str) -> dict[str, list[tuple[Any, ...]]]:
    """The raw tables without the columns that a way of reading cannot fill."""
    tables = {}
    for name, query in QUERIES.items():
        cursor = connection.execute(query)
        assert cursor.description is not None
        kept = [
            number
            for number, column in enumerate(cursor.description)
            if column.name not in UNTOLD[path]
        ]
        tables[name] = [tuple(row[number] for number in kept) for row in cursor]
    return tables


def row_versions(connection: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Which transaction wrote each row last: differs as soon as any row is written again."""
    return {
        name: connection.execute(
            f"select ctid::text, xmin::text from public.{name} order by ctid"
        ).fetchall()
        for name in (*QUERIES, "repository_metadata")
        if name != "repositories"
    }
