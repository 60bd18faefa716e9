"""One deployment of each domain, and parameters that make it run on a sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from deployments.local.paths import PROJECT_ROOT
from tests.deployments.kubernetes.cluster import Prefect


@dataclass(frozen=True)
class DomainRun:
    """A deployment of prefect.yaml and the parameters of one run of it."""

    slug: str
    deployment: str
    parameters: Mapping[str, Any]
    is_on_postgres: bool = True

    @property
    def database_block(self) -> str:
        return f"kubernetes-{self.slug.replace('_', '-')}"

    def deploy(self, prefect: Prefect, pool: str) -> str:
        """The deployment's id: as declared, but for a claim, which has one writer."""
        declared = yaml.safe_load((PROJECT_ROOT / "prefect.yaml").read_text())["deployments"]
        found = next(each for each in declared if each["name"] == self.deployment)
        variables = dict(found["work_pool"]["job_variables"])
        variables.pop("state_volume", None)
        return prefect.deploy(pool, found["entrypoint"], self.slug.replace("_", "-"), variables)

    def start(self, prefect: Prefect, pool: str) -> str:
        """The id of a new run."""
        settings = {"database_block": self.database_block} | self.parameters.get("settings", {})
        own = {"settings": settings} if self.is_on_postgres else {}
        return prefect.start(self.deploy(prefect, pool), {**self.parameters, **own})


def domain_runs(repository: str, times: int = 1) -> list[DomainRun]:
    """Runs of every domain; samples are so many times the smallest.

    Args:
        repository: that the GitHub scraper reads.
    """
    return [
        DomainRun("github_scraper", "github-scraper-6h", {"repositories": [repository]}),
        DomainRun(
            "ledgermind",
            "ledgermind-nightly",
            {"settings": {"sample_events": 500 * times}, "targets": ["pg_local"]},
        ),
        DomainRun("scout", "scout-on-demand", {"settings": {"sample_payloads": 500 * times}}),
        DomainRun(
            "quality_compass",
            "quality-compass-daily",
            {"settings": {"sample_facilities": 5 * times}},
        ),
        DomainRun(
            "agent_analytics",
            "agent-analytics-hourly",
            {"inputs": {"sample": {"days": 2, "developers": 2 * times}}},
            is_on_postgres=False,
        ),
    ]
