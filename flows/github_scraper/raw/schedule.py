"""Which repositories runs look after: paused, retired, taken up again. Rows are always kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from flows.github_scraper.records import RepositoryNotKnownError

LONGEST_REASON = 200
FAILING_TOLD = 10
TRIED_NO_MORE = "no run tries it again unless it is named in `repositories`, or resumed"
CHANGES = {
    "pause": """
        update public.repositories
        set paused_at = coalesce(paused_at, clock_timestamp()), updated_at = clock_timestamp()
        where url = any(%(urls)s)
        returning url
    """,
    "retire": """
        update public.repositories
        set
            retired_at = coalesce(retired_at, clock_timestamp()),
            retired_because = coalesce(%(reason)s, retired_because),
            updated_at = clock_timestamp()
        where url = any(%(urls)s)
        returning url
    """,
    "resume": """
        update public.repositories
        set
            paused_at = null,
            retired_at = null,
            retired_because = null,
            failed_attempts = 0,
            named_by = 'run',
            state = case when state = 'failed' then 'pending' else state end,
            updated_at = clock_timestamp()
        where url = any(%(urls)s) and url not like 'withheld:%%'
        returning url
    """,
}


@dataclass(frozen=True)
class ScheduledRepository:
    """A line of the list.

    ``state`` is how the last attempt ended. ``schedule`` is active, paused, retired, or dropped: it
    never loaded and failed for good several times.
    """

    repository_id: int
    url: str
    schedule: str
    state: str
    reason: str | None
    last_processed_at: datetime | None

    @property
    def first_words(self) -> str:
        """The reason in one short line; git tells several."""
        return first_words(self.reason)


def first_words(reason: str | None) -> str:
    told = " ".join((reason or "").split())
    return told if len(told) <= LONGEST_REASON else f"{told[:LONGEST_REASON].rstrip()} ..."


def list_repositories(
    connection: psycopg.Connection, known: Sequence[str]
) -> list[ScheduledRepository]:
    """Every repository with its place in the schedule. ``known`` are those that runs look after."""
    rows = connection.execute(
        """
        select
            id,
            url,
            case
                when retired_at is not null then 'retired'
                when paused_at is not null then 'paused'
                when url = any(%s) then 'active'
                else 'dropped'
            end,
            state,
            coalesce(retired_because, error_message),
            last_processed_at
        from public.repositories
        order by id
        """,
        (list(known),),
    )
    return [ScheduledRepository(*row) for row in rows]


def change_schedule(
    connection: psycopg.Connection, change: str, urls: Sequence[str], reason: str | None
) -> None:
    """Pause, retire or resume repositories: all of the given ones, or none.

    Raises:
        RepositoryNotKnownError: one of them was never loaded.
    """
    with connection.transaction():
        found = connection.execute(
            CHANGES[change], {"urls": list(urls), "reason": reason}
        ).fetchall()
        unknown = set(urls) - {url for (url,) in found}
        if unknown:
            raise RepositoryNotKnownError(
                f"Trying to {change} {', '.join(sorted(unknown))}",
                "no such repository is known",
                "Give an address as the action `list` shows it; nothing was changed",
            )


def set_aside(connection: psycopg.Connection, urls: Sequence[str]) -> dict[str, str]:
    """Those of the addresses that are paused or retired, each with a line that says so."""
    rows = connection.execute(
        "select url, case when retired_at is not null then 'retired' else 'paused' end"
        " from public.repositories"
        " where url = any(%s) and (paused_at is not null or retired_at is not null)",
        (list(urls),),
    )
    return {
        url: f"{url} is {state} and was left out: the action `resume` takes it up again"
        for url, state in rows
    }


def left_failing(
    connection: psycopg.Connection, known: Sequence[str], tried: Sequence[str]
) -> list[str]:
    """Repositories whose last attempt failed and that a run of the addresses ``tried`` leaves
    alone, a line each; of many the first ones and how many more there are. ``known`` are those
    that runs look after."""
    rows = connection.execute(
        """
        select url, error_message, url = any(%(known)s), count(*) over () - %(most)s
        from public.repositories
        where
            state = 'failed'
            and paused_at is null
            and retired_at is null
            and url <> all(%(tried)s)
            and url not like 'withheld:%%'
        order by id
        limit %(most)s
        """,
        {"known": list(known), "tried": list(tried), "most": FAILING_TOLD},
    ).fetchall()
    told = [
        f"{url} failed at its last attempt and this run leaves it alone: {first_words(reason)} - "
        + ("the next run without a list tries it again" if is_known else TRIED_NO_MORE)
        for url, reason, is_known, _ in rows
    ]
    if rows and (more := rows[0][3]) > 0:
        told.append(f"{more} more failed likewise: the action `list` shows them")
    return told


def count_set_aside(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select count(*) from public.repositories"
        " where paused_at is not null or retired_at is not null"
    ).fetchone()
    assert row is not None
    return int(row[0])
