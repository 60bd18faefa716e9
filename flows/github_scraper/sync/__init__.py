"""Repositories, from wherever each is best read, into the raw tables. Knows no Prefect."""

from flows.github_scraper.sync.accounts import resolve_accounts
from flows.github_scraper.sync.by_api import sync_planned
from flows.github_scraper.sync.by_git import sync_repository
from flows.github_scraper.sync.plans import Plan, Planned, is_on, plan_repositories

__all__ = [
    "Plan",
    "Planned",
    "is_on",
    "plan_repositories",
    "resolve_accounts",
    "sync_planned",
    "sync_repository",
]
