"""What an operator may turn."""

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from flows._shared.state import state_dir

AGENTS_FILE = Path("agent_analytics") / "published" / "agent_analytics.duckdb"


def _opened_at(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^\s()<>]+", value):
        raise ValueError("give an address that a browser opens, https://host/folder")
    return value


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    protocol, separator, rest = value.partition("://")
    if separator and (protocol not in ("gs", "s3") or not rest.strip("/")):
        raise ValueError("name a folder, gs://bucket/folder or s3://bucket/folder")
    if not value.strip():
        raise ValueError("it is empty")
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin") from None
    return name


class AlertSettings(BaseModel):
    """When alerts are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quiet_from: time | None = Field(
        default=None,
        description="From this time of day on only errors are told, such as 22:00. Empty: never.",
    )
    quiet_to: time | None = Field(
        default=None,
        description="From this time of day on all is told again, what waited first, such as 07:00.",
    )
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="Zone of both times, such as Europe/Berlin."
    )

    @model_validator(mode="after")
    def _has_both_ends(self) -> Self:
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise ValueError("give both `quiet_from` and `quiet_to`, or neither")
        return self


class Blocks(BaseModel):
    """Names of the SqlAlchemyConnector blocks of the databases with the `rpt_*` models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    github_scraper: str = Field(
        default="github-scraper-postgres", description="Block of the database of GitHub."
    )
    ledgermind: str = Field(
        default="ledgermind-postgres", description="Block of the database of LedgerMind."
    )
    scout: str = Field(default="scout-postgres", description="Block of the database of Scout.")
    quality_compass: str = Field(
        default="quality-compass-postgres",
        description="Block of the database of Quality Compass.",
    )


class ReportSettings(BaseModel):
    """Where the site goes and where its figures come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None,
        description="Folder, gs:// or s3:// address of the site. Default: the state's folder.",
    )
    opened_at: Annotated[str | None, AfterValidator(_opened_at)] = Field(
        default=None,
        description=(
            "Address at which people open what is in `destination`, https://host/folder: summaries "
            "of runs and alerts link to it. Default: they name the destination."
        ),
    )
    versions_kept: int = Field(
        default=30, ge=1, le=10_000, description="Dated versions kept, the new one included."
    )
    storage_block: str | None = Field(
        default=None,
        description=(
            'Name of a Secret block with a JSON object, {"s3": {...}, "gs": {...}}, of the options '
            "of Apache Arrow's file systems. Default: this machine's own identity."
        ),
    )
    blocks: Blocks = Field(default=Blocks(), description="Databases of the domains.")
    agents_file: Path | None = Field(
        default=None,
        description="Published DuckDB file of the agents. Default: where its flow publishes it.",
    )

    @property
    def address(self) -> str:
        return self.destination or str(state_dir() / "report")

    @property
    def agents_path(self) -> Path:
        return (self.agents_file or state_dir() / AGENTS_FILE).absolute()
