"""The domains that `make run` runs, and how."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.paths import PROJECT_ROOT
from flows._shared.errors import PermanentError
from flows.github_scraper.rules import repository_url

Parameters = Callable[[argparse.Namespace], Mapping[str, Any]]


@dataclass(frozen=True)
class Domain:
    """One domain as the local commands see it.

    Args:
        slug: its name everywhere, such as ``github_scraper``; also the name of its database.
        deployment: what a full local run is, as ``<flow>/<deployment>``.
        parameters: the parameters of that run, from the options of the command line.
        query: a query to try once the run has ended.
        has_postgres: its tables are in PostgreSQL.
    """

    slug: str
    deployment: str
    parameters: Parameters
    query: str
    has_postgres: bool = True

    @property
    def kebab(self) -> str:
        return self.slug.replace("_", "-")

    @property
    def url_variable(self) -> str:
        """The variable that points this domain at a PostgreSQL of the user's own."""
        return f"{self.slug.upper()}_DATABASE_URL"


def repository_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """The repositories asked for, or this project's own history.

    Raises:
        RepositoryAddressError: one cannot be fetched from, or carries credentials.
    """
    given: Sequence[str] = options.repos or [str(PROJECT_ROOT)]
    # Checked here too: what is given to a run, the server keeps.
    return {"repositories": [repository_url(absolute(repository)) for repository in given]}


def absolute(repository: str) -> str:
    """A path as seen from here, made absolute; a URL or ``host:path`` as it is."""
    path = Path(repository).expanduser()
    is_remote = "://" in repository or (":" in repository and not path.exists())
    return repository if is_remote else str(path.resolve())


DOMAINS = (
    Domain(
        slug="github_scraper",
        deployment="github-scraper/github-scraper-6h",
        parameters=repository_parameters,
        query=(
            "select rank, display_name, commits from analytics.leaderboard "
            "where scope = 'overall' and time_window = 'all_time' order by rank limit 10"
        ),
    ),
    Domain(
        slug="agent_analytics",
        deployment="agent-analytics/agent-analytics-hourly",
        parameters=lambda options: {"inputs": {"sample": {"days": 30, "developers": 12}}},
        query="select * from mart.fct_cost_forecast order by forecast_cost_usd desc limit 10",
        has_postgres=False,
    ),
)


def select(slugs: Sequence[str]) -> tuple[Domain, ...]:
    """The domains of those slugs, all of them if none is given.

    Raises:
        PermanentError: there is no such domain.
    """
    known = {domain.slug: domain for domain in DOMAINS}
    if unknown := [slug for slug in slugs if slug.replace("-", "_") not in known]:
        raise PermanentError(
            f"choosing the domain {', '.join(unknown)}",
            "there is none of that name",
            f"The domains are: {', '.join(known)}",
        )
    return tuple(known[slug.replace("-", "_")] for slug in slugs) or DOMAINS
