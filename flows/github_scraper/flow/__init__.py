"""The flows of the GitHub scraper. Deployments name them here."""

from flows.github_scraper.flow.bigquery import (
    build_on_bigquery,
    export_tables,
    migrate,
    purge_history,
)
from flows.github_scraper.flow.loads import RepositoriesFailedError, backfill, refresh
from flows.github_scraper.flow.schedule import change, manage

__all__ = [
    "RepositoriesFailedError",
    "backfill",
    "build_on_bigquery",
    "change",
    "export_tables",
    "manage",
    "migrate",
    "purge_history",
    "refresh",
]
