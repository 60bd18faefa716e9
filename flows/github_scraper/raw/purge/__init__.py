"""Purges a person from the raw tables."""

from flows.github_scraper.raw.purge.person import purge_again, purge_history, purge_person

__all__ = ["purge_again", "purge_history", "purge_person"]
