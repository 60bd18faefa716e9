"""Finds whose e-mails these are, and merges the identities that are one person."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby

import psycopg

from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source import planning
from flows.github_scraper.source.client import GithubClient


def resolve_accounts(
    connection: psycopg.Connection,
    client: GithubClient,
    settings: GithubScraperSettings,
    now: datetime,
    tell: Callable[[str], object] = str,
) -> tuple[int, int]:
    """Find the GitHub account of every e-mail that is new, and merge the contributors that are
    one person. Returns the e-mails looked up and the identities that moved."""
    pending = raw.pending_emails(connection, now - timedelta(days=settings.api.email_recheck_days))
    for node_id, group in groupby(pending, key=lambda each: each.node_id):
        emails = list(group)
        lookups = [each.lookup for each in emails]
        found = (
            planning.fetch_accounts_over_rest(client, emails[0].name_with_owner, lookups)
            if settings.api.path == "rest"
            else planning.fetch_accounts(client, node_id, lookups)
        )
        raw.save_accounts(connection, found, now)
        raw.purge_again(connection, found)
    return len(pending), raw.merge_accounts(connection, tell)
