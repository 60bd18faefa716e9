"""What an operator may turn: the form that the Prefect UI shows."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flows._shared.bigquery_settings import (
    BigQuerySettings,
    Dataset,
    GcpBlock,
    MaximumGigabytesBilled,
    Project,
    RawDataset,
)


class GithubApiSettings(BaseModel):
    """Reading through GitHub's API. Without a token or an app, repositories come by git alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host_url: str = Field(
        default="https://github.com",
        pattern=r"^https?://[^/@]+$",
        description=(
            "The GitHub to ask. github.com is asked at api.github.com, any other host as a "
            "GitHub Enterprise Server: at <host>/api/v3 and <host>/api/graphql."
        ),
    )
    token_blocks: tuple[str, ...] = Field(
        default=(),
        description=(
            "Names of Secret blocks with one GitHub token each, besides `token_block`. Only "
            "tokens of different users add up: GitHub limits users, not tokens."
        ),
    )
    app_block: str | None = Field(
        default=None,
        description=(
            "Name of a Secret block with a GitHub App, as a JSON object with `app_id`, "
            "`installation_id` and `private_key` (PEM)."
        ),
    )
    path: Literal["auto", "git", "graphql", "rest"] = Field(
        default="auto",
        description=(
            "How commits are read. auto: few new commits and repositories over "
            "`max_mirror_megabytes` by GraphQL, all else by git. graphql and rest: never by git."
        ),
    )
    few_commits: int = Field(
        default=300,
        ge=0,
        description="Up to this many new commits are read by GraphQL rather than by git.",
    )
    page_size: int = Field(
        default=100,
        ge=1,
        le=100,
        description="Commits asked for at once; halved by itself where GitHub cannot answer.",
    )
    metadata_hours: int = Field(
        default=24,
        ge=0,
        description="Topics and languages are asked for again once they are this old.",
    )
    email_recheck_days: int = Field(
        default=90,
        ge=1,
        description="An e-mail that belonged to no account is looked up again after this time.",
    )
    max_wait_seconds: float = Field(
        default=60,
        ge=0,
        description=(
            "Longest wait for rate limit budget inside a run. Where more is needed, the run is "
            "suspended until then and gives its worker back."
        ),
    )
    timeout_seconds: float = Field(
        default=30, gt=0, description="Longest wait for one answer of the API."
    )


class GithubBigQuerySettings(BigQuerySettings):
    """The warehouse for when PostgreSQL has grown too large."""

    project: Project = "github-scraper-analytics"
    dataset: Dataset = "github_scraper"
    raw_dataset: RawDataset = "github_scraper_raw"
    gcp_block: GcpBlock = "github-scraper-gcp"
    maximum_gigabytes_billed: MaximumGigabytesBilled = 100


class SizeSettings(BaseModel):
    """When PostgreSQL is too large for this domain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit_gigabytes: float = Field(
        default=50,
        gt=0,
        description="Raw tables and marts of this size (10^9 bytes) belong on BigQuery.",
    )
    warn_at: float = Field(
        default=0.8, gt=0, le=1, description="A run warns from this part of the limit on."
    )
    growth_days: int = Field(
        default=28, ge=1, description="Growth is measured over at most this many days."
    )


class GithubScraperSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    token_block: str | None = Field(
        default=None,
        description=(
            "Name of the Secret block with a GitHub token, sent to the GitHub host only. "
            "Without one, repositories are cloned anonymously and the API is not used."
        ),
    )
    concurrency: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Repositories fetched and loaded at the same time.",
    )
    max_mirror_megabytes: int = Field(
        default=4096,
        gt=0,
        description="A repository whose mirror grows past this fails and does not fill the disk.",
    )
    size: SizeSettings = Field(
        default=SizeSettings(), description="When a run warns of the size of the database."
    )
    bigquery: GithubBigQuerySettings = Field(
        default=GithubBigQuerySettings(),
        description="Where the export goes and the second build runs.",
    )
    database_block: str = Field(
        default="github-scraper-postgres",
        description="Name of the SqlAlchemyConnector block of the database with the raw tables.",
    )
    dbt_block: str | None = Field(
        default=None,
        description=(
            "Name of the SqlAlchemyConnector block of the role that builds the marts. Default: "
            "`github-scraper-dbt-postgres` where it is registered, else that of `database_block`."
        ),
    )
    api: GithubApiSettings = Field(
        default=GithubApiSettings(), description="Reading through GitHub's API."
    )
    cache_dir: Path | None = Field(
        default=None,
        description=(
            "Folder of the git mirrors, kept between runs. "
            "Default: `git` in the state folder of the installation."
        ),
    )
    git_timeout_seconds: int = Field(
        default=3600,
        gt=0,
        description="Longest time that one git command may take.",
    )
    lock_timeout_seconds: int = Field(
        default=600,
        ge=0,
        description="Longest wait for another run that is using the same mirror.",
    )
