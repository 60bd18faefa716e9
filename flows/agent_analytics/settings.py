"""What an operator may turn: the form that the Prefect UI shows."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flows._shared.state import state_dir

PATH_VARIABLE = "AGENT_ANALYTICS_DUCKDB_PATH"
DESTINATION_VARIABLE = "AGENT_ANALYTICS_DESTINATION"
READER_VARIABLE = "AGENT_ANALYTICS_READER_URL"


class AgentAnalyticsSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    organization: str | None = Field(
        default=None, description="GitHub organization whose Copilot reports are fetched."
    )
    github_block: str | None = Field(
        default=None,
        description=(
            "Name of the connector block of the GitHub scraper's database, `github-scraper-"
            "postgres`: commits are read from its marts. None: not read."
        ),
    )
    inbox_block: str | None = Field(
        default="webhooks-postgres",
        description=(
            "Name of the connector block of the webhook receiver's database, whose deliveries of "
            "telemetry and commits are loaded. None, or a block that is not registered: no inbox."
        ),
    )
    copilot_report: Literal["usage metrics", "legacy"] = Field(
        default="usage metrics",
        description=(
            "Report of Copilot that is fetched: `usage metrics` by user and day, or `legacy`, the "
            "old one by day, where an installation still answers for it."
        ),
    )
    copilot_token_block: str = Field(
        default="agent-analytics-copilot-token",
        description="Name of the Secret block with a token that may read Copilot metrics.",
    )
    database_path: Path | None = Field(
        default=None,
        description=(
            "The DuckDB file. Default: AGENT_ANALYTICS_DUCKDB_PATH, else "
            "`agent_analytics/agent_analytics.duckdb` in the state folder of the installation."
        ),
    )
    destination: str | None = Field(
        default=None,
        pattern=r"^(gs|s3)://[^/]+(/.*)?$",
        description=(
            "A gs:// or s3:// address to which the published copy goes too, for readers that do "
            "not see this machine's disk. Default: AGENT_ANALYTICS_DESTINATION, else none."
        ),
    )
    storage_block: str | None = Field(
        default="agent-analytics-storage",
        description=(
            'Name of a Secret block with a JSON object, {"s3": {...}, "gs": {...}}, of the options '
            "of Apache Arrow's file systems. None, or not registered: the machine's own identity."
        ),
    )
    reader_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description=(
            "Where people and dashboards reach the reader of the copy; the summary names it. "
            "Default: AGENT_ANALYTICS_READER_URL."
        ),
    )
    copilot_api: str = Field(
        default="https://api.github.com", description="Address of the GitHub API."
    )
    threads: int = Field(default=2, ge=1, le=64, description="Threads of DuckDB while loading.")
    memory_limit: str = Field(
        default="2GB",
        pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$",
        description=(
            "Memory of DuckDB while loading and building; past it, it spills to disk. At most "
            "60 % of what the container, the fork of a warm process or the machine has."
        ),
    )
    batch_megabytes: int = Field(
        default=512, gt=0, description="Telemetry loaded in one transaction, about."
    )
    lock_timeout_seconds: float = Field(
        default=1800, ge=0, description="Longest wait for another run that writes the file."
    )

    @property
    def store_path(self) -> Path:
        default = state_dir() / "agent_analytics" / "agent_analytics.duckdb"
        return (self.database_path or Path(os.environ.get(PATH_VARIABLE) or default)).absolute()

    @property
    def published_to(self) -> str | None:
        """The bucket's address; None where the copy stays on the disk."""
        return self.destination or os.environ.get(DESTINATION_VARIABLE) or None

    @property
    def read_at(self) -> str | None:
        return self.reader_url or os.environ.get(READER_VARIABLE) or None


class SampleSize(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(default=30, ge=1, le=3650, description="Days of telemetry that are made.")
    developers: int = Field(
        default=12, ge=1, le=10_000, description="Developers whose telemetry is made."
    )
    seed: int = Field(default=0, description="The same seed makes the same input.")


class AgentAnalyticsInputs(BaseModel):
    """Files, folders or patterns of files; gzip by its content. A path that is not there fails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    telemetry: tuple[str, ...] = Field(
        default=(),
        description=(
            "OTLP JSON lines as a collector's file exporter writes them, or requests in protobuf: "
            "a single one, or a collector's file of them (.pb, with `metrics` or `logs` in the "
            "name). Default: the receiver's inbox."
        ),
    )
    commits: tuple[str, ...] = Field(default=(), description="JSON lines of the post-commit hook.")
    repositories: tuple[Path, ...] = Field(
        default=(), description="Local git repositories whose commits are read."
    )
    copilot: tuple[str, ...] = Field(
        default=(), description="Rows of the users-1-day report (NDJSON)."
    )
    sample: SampleSize | None = Field(
        default=None, description="Make sample input of this size and read that instead."
    )

    @property
    def patterns(self) -> tuple[str, ...]:
        """All that names files."""
        return (*self.telemetry, *self.commits, *self.copilot)
