"""Making the site, without Prefect: read each domain, decide, draw, publish."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg

from flows._shared.buckets import Options
from flows._shared.errors import PlatformError
from flows._shared.postgres import EVERY_ROW, READ_ONLY, connected
from flows.report.pages import site
from flows.report.publish import Published, publish
from flows.report.records import DOMAINS, DomainData, OperationsData, Site, UnreadableModelsError
from flows.report.render import render
from flows.report.source import nothing, read_duckdb, read_postgres

AGENTS = "agent_analytics"
IN_POSTGRES = ("github_scraper", "ledgermind", "scout", "quality_compass")


def read_from(slug: str, url: str) -> DomainData:
    """The report models of a domain in the PostgreSQL at a libpq URL.

    Raises:
        DatabaseUnreachableError: no connection, or it broke off.
        DatabaseRefusedError: no retry mends it.
        UnreadableModelsError: no right to read, or a value that no Python holds.
    """
    what, options = f"the database of {DOMAINS[slug]}", f"{READ_ONLY} {EVERY_ROW}"
    with connected(url, what, options=options) as connection:
        try:
            return read_postgres(slug, connection)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise _unreadable(slug, error) from error


def read_agents(path: Path) -> DomainData:
    """The same of the agents, in their published file."""
    try:
        return read_duckdb(AGENTS, path)
    except duckdb.Error as error:
        raise _unreadable(AGENTS, error) from error


def _unreadable(slug: str, error: Exception) -> UnreadableModelsError:
    return UnreadableModelsError(
        f"Reading the report models of {DOMAINS[slug]}",
        f"{type(error).__name__}: {error}",
        "The log of the report has the reason; building the domain anew makes its models anew",
    )


def or_why_not(slug: str, read: Callable[[], DomainData]) -> DomainData:
    """What was read; a domain that cannot be read has a page that says so, and stops no other.

    The site may be seen by many: it names what was attempted and the remedy, and leaves what the
    database answered to the log.
    """
    try:
        return read()
    except PlatformError as error:
        return nothing(slug, f"{error.attempted} did not work. {error.remedy}.")


def make(
    data: Mapping[str, DomainData],
    operated: OperationsData,
    now: datetime,
    address: str,
    kept: int,
    options: Options | None = None,
) -> tuple[Site, Published]:
    made = site({slug: each.masked for slug, each in data.items()}, operated, now)
    return made, publish(render(made), address, now, kept, options)
