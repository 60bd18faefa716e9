"""What an operator may turn: the form that the Prefect UI shows."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class GithubScraperSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str = Field(
        default="github-scraper-postgres",
        description="Name of the SqlAlchemyConnector block of the database with the raw tables.",
    )
    token_block: str | None = Field(
        default=None,
        description=(
            "Name of the Secret block with a GitHub token, sent to github.com only. "
            "Without one, repositories are cloned anonymously."
        ),
    )
    cache_dir: Path | None = Field(
        default=None,
        description=(
            "Folder of the git mirrors, kept between runs. "
            "Default: `git` in the state folder of the installation."
        ),
    )
    max_mirror_megabytes: int = Field(
        default=4096,
        gt=0,
        description="A repository whose mirror grows past this fails and does not fill the disk.",
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
    concurrency: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Repositories fetched and loaded at the same time.",
    )
