"""Reads from outside: git itself (`git`), and GitHub's API (`client`, `governor`, `walks`)."""

from flows.github_scraper.source.command import GitLimits
from flows.github_scraper.source.git import Mirror, open_mirror

__all__ = ["GitLimits", "Mirror", "open_mirror"]
