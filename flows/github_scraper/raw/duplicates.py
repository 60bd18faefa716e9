"""Rows that turn out to be one repository: written under several spellings of its address before
these had one, or by hand."""

from collections import defaultdict
from dataclasses import dataclass

import psycopg

from flows.github_scraper.raw.adoption import refused_rows_are_told
from flows.github_scraper.raw.commits import TAKE_MERGE_TURN
from flows.github_scraper.records import ApplicationTablesError, RepositoryAddressError
from flows.github_scraper.rules import (
    bare_address,
    repository_path_name,
    repository_url,
    shown_address,
)


@dataclass(frozen=True)
class _Stored:
    repository_id: int
    url: str
    github_id: int | None
    is_loaded: bool


# The one that stays is read whole once: what it lacks of the other is loaded, what only the other
# had is orphaned. Rows of the other that it has as well are dropped.
MERGE = (
    "delete from github_api.walk_commits where repository_id = %(other)s",
    "delete from github_api.walks where repository_id = %(other)s",
    "update public.email_accounts set repository_id = %(kept)s where repository_id = %(other)s",
    """
    delete from public.commit_coauthors
    using public.commits
    where
        commit_coauthors.repository_id = %(other)s
        and commits.repository_id = %(kept)s
        and commits.commit_hash = commit_coauthors.commit_hash
    """,
    """
    create temporary table moved_coauthors on commit drop as
    select * from public.commit_coauthors where repository_id = %(other)s
    """,
    "delete from public.commit_coauthors where repository_id = %(other)s",
    """
    delete from public.commits
    using public.commits as same
    where
        commits.repository_id = %(other)s
        and same.repository_id = %(kept)s
        and same.commit_hash = commits.commit_hash
    """,
    """
    update public.commits
    set repository_id = %(kept)s, updated_at = clock_timestamp()
    where repository_id = %(other)s
    """,
    "update moved_coauthors set repository_id = %(kept)s",
    "insert into public.commit_coauthors select * from moved_coauthors",
    "drop table moved_coauthors",
    "delete from public.repository_heads where repository_id = %(other)s",
    # Those of a repository that is loaded stay.
    "delete from public.repository_contributors where repository_id = %(other)s",
    "delete from public.repository_metadata where repository_id = %(other)s",
    """
    insert into public.repository_names (repository_id, valid_from, name_with_owner)
    select %(kept)s, valid_from, name_with_owner
    from public.repository_names
    where repository_id = %(other)s
    on conflict do nothing
    """,
    "delete from public.repository_names where repository_id = %(other)s",
    """
    update public.application_repositories
    set repository_id = %(kept)s
    where repository_id = %(other)s
    """,
    "delete from public.repositories where id = %(other)s",
    "update public.repository_heads set reading = 0 where repository_id = %(kept)s",
    "select public.recount_contributions(array[%(kept)s]::bigint[])",
)

# An address that nothing can be fetched from is paused, so that it fails no run. What may be a
# credential is repeated nowhere: such a row keeps its number only.
SET_ASIDE = """
update public.repositories
set
    url = case when %(is_withheld)s then 'withheld:' || id else url end,
    path_name = case when not %(is_withheld)s then path_name end,
    state = 'failed',
    error_message = %(why)s,
    paused_at = coalesce(paused_at, clock_timestamp()),
    updated_at = clock_timestamp()
where id = %(repository_id)s and (paused_at is null or %(is_withheld)s)
"""


def tidy_addresses(connection: psycopg.Connection) -> list[str]:
    """Give every stored repository the one spelling of its address, and let one row stand for each.

    Two that GitHub tells apart by number stay two. Returns what was done and what a person has to
    look at. The connection is in autocommit mode; a second call changes nothing.
    """
    rows = connection.execute(
        "select repositories.id, url, github_id, repository_heads.repository_id is not null"
        " from public.repositories"
        " left join public.repository_heads on repository_heads.repository_id = repositories.id"
        " where url !~ '^https://[^@#]+#[0-9]+$' and url not like 'withheld:%'"
        " order by repositories.id"
    ).fetchall()
    by_url: dict[str, list[_Stored]] = defaultdict(list)
    notes: list[str] = []
    for stored in (_Stored(*row) for row in rows):
        try:
            by_url[repository_url(_without_file_scheme(stored.url))].append(stored)
        except RepositoryAddressError as error:
            aside = connection.execute(
                SET_ASIDE,
                {
                    "repository_id": stored.repository_id,
                    "is_withheld": bare_address(stored.url) is None,
                    "why": str(error),
                },
            )
            if aside.rowcount:
                notes.append(f"Repository {stored.repository_id} is paused now: {error}")
    for url, same in by_url.items():
        notes += _unite(connection, url, same)
    return notes


def _without_file_scheme(url: str) -> str:
    """Folders were once kept as file addresses."""
    return url.removeprefix("file://") if url.startswith("file:///") else url


def _unite(connection: psycopg.Connection, url: str, same: list[_Stored]) -> list[str]:
    numbers = {each.github_id for each in same if each.github_id is not None}
    if len(numbers) > 1:
        spellings = ", ".join(shown_address(each.url) for each in same)
        return [f"{spellings} are stored apart, and so does GitHub know them: give one up by hand"]
    if len(same) == 1 and same[0].url == url:
        return []
    kept = min(same, key=lambda each: (each.github_id is None, not each.is_loaded, each.url != url))
    others = [each for each in same if each is not kept]
    try:
        with refused_rows_are_told(connection, f"Merging what is stored of {url}"):
            _merge(connection, url, kept, others)
    except ApplicationTablesError as error:
        return [str(error)]
    merged = ", ".join(
        f"{shown_address(each.url)} (repository {each.repository_id})" for each in others
    )
    return [f"{merged} is {url} (repository {kept.repository_id}): merged"] if others else []


def _merge(connection: psycopg.Connection, url: str, kept: _Stored, others: list[_Stored]) -> None:
    connection.execute(TAKE_MERGE_TURN)
    for other in others:
        parameters = {"kept": kept.repository_id, "other": other.repository_id}
        for statement in MERGE:
            connection.execute(statement, parameters)
    if kept.url != url:
        connection.execute(
            "update public.repositories set url = %s, path_name = %s where id = %s",
            (url, repository_path_name(url), kept.repository_id),
        )
