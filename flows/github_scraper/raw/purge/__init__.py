"""Purges a person from the raw tables."""

from flows.github_scraper.raw.purge.person import (
    find_person,
    purge_again,
    purge_history,
    purge_person,
    remember_person,
)

__all__ = ["find_person", "purge_again", "purge_history", "purge_person", "remember_person"]
