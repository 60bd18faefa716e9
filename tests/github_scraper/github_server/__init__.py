"""A GitHub on loopback: REST, GraphQL and git over HTTP, with its limits and its moods."""

from tests.github_scraper.github_server.clock import FastClock, RealClock
from tests.github_scraper.github_server.limits import Limits
from tests.github_scraper.github_server.server import Fault, GithubServer
from tests.github_scraper.github_server.store import Repository, User

__all__ = ["FastClock", "Fault", "GithubServer", "Limits", "RealClock", "Repository", "User"]
