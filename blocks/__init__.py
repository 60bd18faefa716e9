"""Which credential blocks each domain needs, and which environment variable each comes from.

The catalogue is plain data: reading it imports nothing of Prefect. ``python -m blocks register``
writes the blocks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """A type of block. The value is what Prefect calls it."""

    POSTGRES = "sqlalchemy-connector"
    SECRET = "secret"  # noqa: S105  the name of a block type
    GCP = "gcp-credentials"
    BIGQUERY = "bigquery-warehouse"
    WEBHOOK = "custom-webhook"
    # It sends to any address of Apprise, mail among them: docs/decisions/0012.
    EMAIL = "slack-webhook"

    @property
    def block_type(self) -> str:
        return self.value


# Where a cluster's network policies let what spends a block out to. What uses the API of a cloud or
# shows a secret goes to 443, or says more in deployments/check/network/needs.py.
PORTS: Mapping[Kind, tuple[int, ...]] = {
    Kind.POSTGRES: (5432, 6543),
    Kind.WEBHOOK: (443,),
    Kind.EMAIL: (465, 587),
}


@dataclass(frozen=True)
class BlockNeed:
    """One block of one domain.

    Args:
        name: of the block, ``<slug>-<what>``.
        variable: the environment variable its value comes from.
        purpose: what the flow does with it.
        fallback: a variable read when ``variable`` is not set.
        is_required: False if the flow also works without it.
        is_token: True if it is sent in a header as it is.
    """

    name: str
    kind: Kind
    variable: str
    purpose: str
    fallback: str | None = None
    is_required: bool = True
    is_token: bool = False

    def value(self, environment: Mapping[str, str]) -> str | None:
        """The secret value, None if the environment does not hold it."""
        names = [self.variable, *([self.fallback] if self.fallback else [])]
        return next((environment[name] for name in names if environment.get(name)), None)


def mounted(folder: Path) -> dict[str, str]:
    """Variables from a folder of files named after them, as a cluster mounts its secrets.

    The line end that editors and pipes leave behind is not part of a value.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    return {path.name: path.read_text().rstrip("\r\n") for path in files}


CATALOGUE: Mapping[str, tuple[BlockNeed, ...]] = {
    "github_scraper": (
        BlockNeed(
            "github-scraper-postgres",
            Kind.POSTGRES,
            "GITHUB_SCRAPER_DATABASE_URL",
            "raw tables and marts",
            fallback="DATABASE_URL",
        ),
        BlockNeed(
            "github-scraper-dbt-postgres",
            Kind.POSTGRES,
            "GITHUB_SCRAPER_DBT_DATABASE_URL",
            "the role that builds the marts, where it is not the one that loads",
            is_required=False,
        ),
        BlockNeed(
            "github-scraper-reader-postgres",
            Kind.POSTGRES,
            "GITHUB_SCRAPER_READER_DATABASE_URL",
            "the role that reads the marts, for the report",
            is_required=False,
        ),
        BlockNeed(
            "github-scraper-token",
            Kind.SECRET,
            "GITHUB_TOKEN",
            "clones of private repositories; more requests an hour to the GitHub API",
            is_required=False,
            is_token=True,
        ),
        BlockNeed(
            "github-scraper-app",
            Kind.SECRET,
            "GITHUB_APP",
            "a GitHub App, as JSON with app_id, installation_id and private_key",
            is_required=False,
        ),
        BlockNeed(
            "github-scraper-gcp",
            Kind.GCP,
            "GCP_SA_JSON",
            "service account that exports to BigQuery and builds there; none before the move",
            is_required=False,
        ),
        BlockNeed(
            "github-scraper-bigquery",
            Kind.BIGQUERY,
            "GCP_SA_JSON",
            "the same as a BigQueryWarehouse, for `warehouse_block`",
            is_required=False,
        ),
    ),
    "ledgermind": (
        BlockNeed(
            "ledgermind-postgres",
            Kind.POSTGRES,
            "LEDGERMIND_DATABASE_URL",
            "LedgerMind's operational tables, read only; marts in a schema of their own",
            fallback="DATABASE_URL",
        ),
        BlockNeed(
            "ledgermind-dbt-postgres",
            Kind.POSTGRES,
            "LEDGERMIND_DBT_DATABASE_URL",
            "the role that builds the marts, where it is not the one that loads",
            is_required=False,
        ),
        BlockNeed(
            "ledgermind-reader-postgres",
            Kind.POSTGRES,
            "LEDGERMIND_READER_DATABASE_URL",
            "the role that reads the marts, for the report",
            is_required=False,
        ),
        BlockNeed(
            "ledgermind-gcp",
            Kind.GCP,
            "GCP_SA_JSON",
            "service account that exports to BigQuery and builds there; none for the emulator",
            is_required=False,
        ),
        BlockNeed(
            "ledgermind-bigquery",
            Kind.BIGQUERY,
            "GCP_SA_JSON",
            "the same as a BigQueryWarehouse, for `warehouse_block` and for other flows",
            is_required=False,
        ),
    ),
    "scout": (
        BlockNeed(
            "scout-postgres",
            Kind.POSTGRES,
            "SCOUT_DATABASE_URL",
            "raw payloads and the layers built from them",
            fallback="DATABASE_URL",
        ),
        BlockNeed(
            "scout-dbt-postgres",
            Kind.POSTGRES,
            "SCOUT_DBT_DATABASE_URL",
            "the role that builds the layers, where it is not the one that loads",
            is_required=False,
        ),
        BlockNeed(
            "scout-reader-postgres",
            Kind.POSTGRES,
            "SCOUT_READER_DATABASE_URL",
            "the role that reads the marts, for the report",
            is_required=False,
        ),
        BlockNeed(
            "scout-drive",
            Kind.GCP,
            "SCOUT_DRIVE_SA_JSON",
            "service account that may read the Google Drive folder",
            is_required=False,
        ),
        BlockNeed(
            "scout-embeddings",
            Kind.SECRET,
            "SCOUT_EMBEDDINGS",
            "an OpenAI-compatible endpoint, as JSON with url, model and key",
            is_required=False,
        ),
    ),
    "quality_compass": (
        BlockNeed(
            "quality-compass-postgres",
            Kind.POSTGRES,
            "QUALITY_COMPASS_DATABASE_URL",
            "raw tables and marts",
            fallback="DATABASE_URL",
        ),
        BlockNeed(
            "quality-compass-dbt-postgres",
            Kind.POSTGRES,
            "QUALITY_COMPASS_DBT_DATABASE_URL",
            "the role that builds the marts, where it is not the one that loads",
            is_required=False,
        ),
        BlockNeed(
            "quality-compass-reader-postgres",
            Kind.POSTGRES,
            "QUALITY_COMPASS_READER_DATABASE_URL",
            "the role that reads the marts, for the report",
            is_required=False,
        ),
        BlockNeed(
            "quality-compass-storage",
            Kind.SECRET,
            "QUALITY_COMPASS_STORAGE_OPTIONS",
            "keys and endpoints, as a JSON object by s3 and gs, of buckets runs are read from",
            is_required=False,
        ),
        BlockNeed(
            "quality-compass-gcp",
            Kind.GCP,
            "QUALITY_COMPASS_GCP_SA_JSON",
            "service account that reads runs from gs:// addresses",
            is_required=False,
        ),
    ),
    "agent_analytics": (
        BlockNeed(
            "agent-analytics-copilot-token",
            Kind.SECRET,
            "COPILOT_TOKEN",
            "Copilot usage reports of the organization",
            is_required=False,
            is_token=True,
        ),
        BlockNeed(
            "agent-analytics-storage",
            Kind.SECRET,
            "AGENT_ANALYTICS_STORAGE_OPTIONS",
            "keys and endpoints, as JSON by s3 and gs, of the bucket that readers' copies go to",
            is_required=False,
        ),
    ),
    "alerts": (
        BlockNeed(
            "alerts-webhook",
            Kind.WEBHOOK,
            "ALERTS_WEBHOOK_URL",
            'where alerts are posted as {"text": ...}, as Slack, Mattermost and others take them',
            is_required=False,
        ),
        BlockNeed(
            "alerts-email",
            Kind.EMAIL,
            "ALERTS_EMAIL_URL",
            "mail server and addresses, as mailtos://user:password@host:port?from=...&to=...",
            is_required=False,
        ),
    ),
    "webhooks": (
        BlockNeed(
            "webhooks-postgres",
            Kind.POSTGRES,
            "WEBHOOKS_DATABASE_URL",
            "the inbox of the webhook receiver; domains read it",
            fallback="DATABASE_URL",
        ),
        BlockNeed(
            "webhooks-reader-postgres",
            Kind.POSTGRES,
            "WEBHOOKS_READER_DATABASE_URL",
            "the role that reads the inbox, for domains",
            is_required=False,
        ),
        *(
            BlockNeed(
                f"webhooks-{source}-secrets",
                Kind.SECRET,
                f"WEBHOOKS_{source.upper().replace('-', '_')}_SECRETS",
                f"secrets that {sender}: a JSON list or one a line, all of them active",
                is_required=False,
            )
            for source, sender in (
                ("github", "GitHub signs with"),
                ("scout", "senders to Scout sign with or show"),
                ("quality-compass", "senders to Quality Compass sign with or show"),
                ("agent-analytics", "OpenTelemetry exporters show"),
            )
        ),
        BlockNeed(
            "webhooks-github-token",
            Kind.SECRET,
            "WEBHOOKS_GITHUB_TOKEN",
            "lists the deliveries of GitHub's hooks and asks for those that are missing",
            is_required=False,
            is_token=True,
        ),
    ),
}


def not_in_use(is_registered: Callable[[BlockNeed], bool]) -> tuple[str, ...]:
    """The domains that a server does not serve: those of which it has no block at all, where it has
    some of another."""
    needing = [slug for slug, needs in CATALOGUE.items() if any(n.is_required for n in needs)]
    absent = tuple(slug for slug in needing if not any(map(is_registered, CATALOGUE[slug])))
    return () if len(absent) == len(needing) else absent
