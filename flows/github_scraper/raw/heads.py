"""Up to which commit each repository is loaded."""

from collections.abc import Mapping

import psycopg

from flows.github_scraper.records import Head

ADVANCE_HEAD = """
insert into public.repository_heads as known (
    repository_id, ref, head_hash, mailmap_hash, shallow_boundary, reading, attributes_hash,
    observed_at
)
values (
    %(repository_id)s, %(ref)s, %(head_hash)s, %(mailmap_hash)s, %(shallow_boundary)s,
    %(reading)s, %(attributes_hash)s, %(now)s
)
on conflict (repository_id) do update
set
    ref = excluded.ref,
    head_hash = excluded.head_hash,
    mailmap_hash = excluded.mailmap_hash,
    shallow_boundary = excluded.shallow_boundary,
    reading = excluded.reading,
    -- The API does not tell them: what git read by stays, until git sees that they changed.
    attributes_hash = case
        when %(source)s = 'git' then excluded.attributes_hash else known.attributes_hash
    end,
    observed_at = excluded.observed_at
"""


def lock_head(connection: psycopg.Connection, repository_id: int) -> Head | None:
    """The head of the last sync. Other loads of this repository wait until this one commits."""
    connection.execute(
        "select 1 from public.repositories where id = %s for update", (repository_id,)
    )
    return read_head(connection, repository_id)


def read_head(connection: psycopg.Connection, repository_id: int) -> Head | None:
    row = connection.execute(
        """
        select ref, head_hash, mailmap_hash, shallow_boundary, reading, attributes_hash
        from public.repository_heads
        where repository_id = %s
        """,
        (repository_id,),
    ).fetchone()
    return None if row is None else Head(row[0], row[1], row[2], tuple(row[3]), row[4], row[5])


def advance_head(
    connection: psycopg.Connection, parameters: Mapping[str, object], head: Head
) -> None:
    """``parameters`` are those of the merge: the repository, the moment and the source."""
    connection.execute(
        ADVANCE_HEAD,
        {
            **parameters,
            "ref": head.ref,
            "head_hash": head.head_hash,
            "mailmap_hash": head.mailmap_hash,
            "shallow_boundary": list(head.shallow_boundary),
            "reading": head.reading,
            "attributes_hash": head.attributes_hash,
        },
    )
