"""The domains that `flows run` runs, and how."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.paths import PROJECT_ROOT
from flows._shared.chosen import chosen
from flows.agent_analytics import records as agent_analytics
from flows.github_scraper import records as github_scraper
from flows.github_scraper.rules import repository_url
from flows.ledgermind import records as ledgermind
from flows.quality_compass import records as quality_compass
from flows.scout import records as scout

LEDGERMIND_SAMPLE_EVENTS = 20_000
SCOUT_SAMPLE_PAYLOADS = 20_000
QUALITY_COMPASS_SAMPLE_FACILITIES = 40

Parameters = Callable[[Sequence[str]], Mapping[str, Any]]


@dataclass(frozen=True)
class Domain:
    """One domain as the local commands see it.

    Args:
        slug: its name everywhere, such as ``github_scraper``; also the name of its database.
        deployment: what a full local run is, as ``<flow>/<deployment>``.
        parameters: the parameters of that run, from the repositories that were named.
        query: a query to try once the run has ended.
        uses_bigquery: whether the BigQuery emulator is started for it, unless
            LEDGERMIND_BIGQUERY_PROJECT names a project of the user's own.
        has_postgres: its tables are in PostgreSQL.
    """

    slug: str
    deployment: str
    parameters: Parameters
    query: str
    uses_bigquery: bool = False
    has_postgres: bool = True

    @property
    def kebab(self) -> str:
        return self.slug.replace("_", "-")

    @property
    def url_variable(self) -> str:
        """The variable that points this domain at a PostgreSQL of the user's own."""
        return f"{self.slug.upper()}_DATABASE_URL"


def repository_parameters(repositories: Sequence[str]) -> dict[str, Any]:
    """The repositories asked for, or this project's own history.

    Raises:
        RepositoryAddressError: one cannot be fetched from, or carries credentials.
    """
    given: Sequence[str] = repositories or [str(PROJECT_ROOT)]
    # Checked here too: what is given to a run, the server keeps.
    return {"repositories": [repository_url(absolute(repository)) for repository in given]}


def absolute(repository: str) -> str:
    """A path as seen from here, made absolute; a URL or ``host:path`` as it is."""
    path = Path(repository).expanduser()
    is_remote = "://" in repository or (":" in repository and not path.exists())
    return repository if is_remote else str(path.resolve())


def is_own_database(slug: str) -> bool:
    """Whether the environment names a database of the user's own: no sample is made in one."""
    return bool(os.environ.get(f"{slug.upper()}_DATABASE_URL") or os.environ.get("DATABASE_URL"))


def ledgermind_parameters(_: Sequence[str]) -> dict[str, Any]:
    """LedgerMind's own database, or a sample made in the embedded one."""
    own = os.environ.get("LEDGERMIND_BIGQUERY_PROJECT")
    sample = None if is_own_database("ledgermind") else LEDGERMIND_SAMPLE_EVENTS
    return {
        "settings": {"sample_events": sample, "bigquery": {"project": own} if own else {}},
        "targets": ["pg_local", "bigquery"],
    }


def scout_parameters(_: Sequence[str]) -> dict[str, Any]:
    """The folder named by SCOUT_FOLDER, or a sample for the embedded database."""
    if folder := os.environ.get("SCOUT_FOLDER"):
        return {"settings": {"folder": absolute(folder)}}
    sample = None if is_own_database("scout") else SCOUT_SAMPLE_PAYLOADS
    return {"settings": {"sample_payloads": sample}}


def quality_compass_parameters(_: Sequence[str]) -> dict[str, Any]:
    """The runs named by QUALITY_COMPASS_RUNS, or sample runs for the embedded database."""
    addresses = [absolute(each) for each in os.environ.get("QUALITY_COMPASS_RUNS", "").split()]
    is_sample = not addresses and not is_own_database("quality_compass")
    return {
        "runs": {"addresses": addresses, "verify": True},
        "settings": {"sample_facilities": QUALITY_COMPASS_SAMPLE_FACILITIES if is_sample else None},
    }


DOMAINS = (
    Domain(
        slug="github_scraper",
        deployment="github-scraper/github-scraper-6h",
        parameters=repository_parameters,
        query=github_scraper.EXAMPLE_QUERY,
    ),
    Domain(
        slug="ledgermind",
        deployment="ledgermind/ledgermind-nightly",
        parameters=ledgermind_parameters,
        query=ledgermind.EXAMPLE_QUERY,
        uses_bigquery=True,
    ),
    Domain(
        slug="scout",
        deployment="scout/scout-on-demand",
        parameters=scout_parameters,
        query=scout.EXAMPLE_QUERY,
    ),
    Domain(
        slug="quality_compass",
        deployment="quality-compass/quality-compass-daily",
        parameters=quality_compass_parameters,
        query=quality_compass.EXAMPLE_QUERY,
    ),
    Domain(
        slug="agent_analytics",
        deployment="agent-analytics/agent-analytics-hourly",
        parameters=lambda _: {"inputs": {"sample": {"days": 30, "developers": 12}}},
        query=agent_analytics.EXAMPLE_QUERY,
        has_postgres=False,
    ),
)

# No domain, but what belongs to one: a database, blocks, deployments.
WEBHOOKS = Domain(
    slug="webhooks",
    deployment="webhooks-purge/webhooks-purge-daily",
    parameters=lambda _: {},
    query="select source, kind, count(*) from webhooks.deliveries group by 1, 2 order by 1, 2",
)


def select(slugs: Sequence[str], known: Sequence[Domain] = DOMAINS) -> tuple[Domain, ...]:
    """The domains of those slugs, all of them if none is given.

    Raises:
        PermanentError: there is no such domain.
    """
    by_slug = {domain.slug: domain for domain in known}
    return tuple(by_slug[slug] for slug in chosen(slugs, by_slug))
