"""What an operator may turn: the form that the Prefect UI shows."""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class StatisticsSettings(BaseModel):
    """Constants of the statistics, as the insight graph uses them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aggregate_std_floor: float = Field(
        default=0.01, gt=0, description="Smallest spread a z-score of a whole period divides by."
    )
    temporal_std_floor: float = Field(
        default=0.05, gt=0, description="Smallest spread a z-score of one month divides by."
    )
    mad_floor: float = Field(
        default=0.01, gt=0, description="Smallest scaled MAD a robust z-score divides by."
    )
    aggregate_min_peer_count: int = Field(
        default=15, ge=1, description="Fewer peers than this suppress an aggregate score."
    )
    temporal_min_peer_count: int = Field(
        default=10, ge=1, description="Fewer peers than this suppress a monthly score."
    )
    min_slope_periods: int = Field(
        default=6, ge=2, description="Observed months a slope needs; each half of an acceleration."
    )


class ClassificationSettings(BaseModel):
    """Cuts of the classification engine. Proposals, not observations, are marked as such:
    docs/decisions/quality_compass-classification-proposals.md has the argument."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_periods: int = Field(
        default=3, ge=1, description="Fewer observed months than this make data suspect."
    )
    min_encounters: int | None = Field(
        default=None,
        ge=1,
        description=(
            "Proposal: fewer encounters than this make data suspect. Off by default, because the "
            "run's own `suppressed` flag explains every suspect row that was observed."
        ),
    )
    severe_zscore: float = Field(
        default=2.0, gt=1, description="Proposal: from this z-score a position is severe."
    )
    spike_deviation: float = Field(
        default=2.0, gt=0, description="Proposal: a month further from its peers is a spike."
    )
    acceleration_cut: float = Field(
        default=0.005, gt=0, description="Beyond this, a trend accelerates or decelerates."
    )
    consistent_zscore_std: float = Field(
        default=0.5, gt=0, description="Below this spread of monthly z-scores: consistent."
    )


class QualityCompassSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: tuple[str, ...] = Field(
        default=(),
        description=(
            "Where runs are found when a flow run names none: run folders, folders of runs, globs, "
            "or gs:// and s3:// prefixes. A run that an event started reads only these."
        ),
    )
    run_id_time_zone: str = Field(
        default="UTC",
        description=(
            "Zone in which run ids are local time, such as America/Chicago. Used where a run has "
            "no run_manifest.json, which states the instant, and for other times of it that are "
            "written without an offset."
        ),
    )
    database_block: str = Field(
        default="quality-compass-postgres",
        description="Name of the SqlAlchemyConnector block of the database with the raw tables.",
    )
    dbt_block: str | None = Field(
        default=None,
        description=(
            "Name of the SqlAlchemyConnector block of the role that builds the marts. Default: "
            "`quality-compass-dbt-postgres` where it is registered, else that of `database_block`."
        ),
    )
    storage_block: str | None = Field(
        default=None,
        description=(
            'Name of a Secret block with a JSON object, {"s3": {...}, "gs": {...}}, of the options '
            "of pyarrow's S3FileSystem (access_key, secret_key, region, endpoint_override) and "
            "GcsFileSystem. Empty: the identity of the machine. Local paths need none."
        ),
    )
    gcp_block: str | None = Field(
        default=None,
        description="Name of the GcpCredentials block for gs:// addresses, if they need one.",
    )
    statistics: StatisticsSettings = Field(
        default=StatisticsSettings(),
        description="Constants of the audit's statistics; as the insight graph has them.",
    )
    classification: ClassificationSettings = Field(
        default=ClassificationSettings(),
        description="From which values on a signal is severe, a spike, suspect or consistent.",
    )
    max_line_bytes: int = Field(
        default=16_000_000, ge=1000, description="A longer line is quarantined and not read."
    )
    tolerance: float = Field(
        default=1e-9, gt=0, description="Largest difference `verify` takes for agreement."
    )
    max_disagreements: int = Field(
        default=1000, ge=1, description="Disagreements kept per run; all of them are counted."
    )
    state_dir: Path | None = Field(
        default=None, description="Folder of sample runs. Default: the installation's state folder."
    )
    repository: str | None = Field(
        default=None,
        pattern=r"^(https://[^@/]+/|ssh://(\w[\w.-]*@)?[\w\[][^@/]*/)",
        description=(
            "Git address of this project, https:// or ssh://, from which a rollback reads an "
            "earlier revision. Default: ANALYTICS_FLOWS_REPOSITORY, else the clone itself."
        ),
    )
    repository_token_block: str | None = Field(
        default=None,
        description="Name of a Secret block with a token that may read `repository` over HTTPS.",
    )
    sample_facilities: int | None = Field(
        default=None,
        ge=3,
        le=999,
        description="When no address is given: load generated runs of this many facilities.",
    )
    sample_seed: int = Field(default=5, description="Seed of the sample run.")

    @model_validator(mode="after")
    def _blocks_have_names(self) -> "QualityCompassSettings":
        if not self.database_block.strip():
            raise ValueError("database_block is empty")
        return self

    @field_validator("run_id_time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is not a time zone such as America/Chicago") from None
        # Of these PostgreSQL knows nothing.
        if name.startswith(("posix", "right/")) or name in ("localtime", "Factory"):
            raise ValueError(f"{name!r} is another zone on each machine: name one such as UTC")
        return name


class RunsRequest(BaseModel):
    """Which runs to load, and how strictly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: tuple[str, ...] = Field(
        (),
        description=(
            "Run folders, folders of runs, globs, or gs:// and s3:// prefixes. "
            "None: the `addresses` of the settings, else sample runs if `sample_facilities` is set."
        ),
    )
    run_id: str | None = Field(
        None,
        pattern=r"^\d{14}$",
        description="Id of a single run whose folder is not named after it.",
    )
    verify: bool = Field(
        False, description="Recompute what each run claims and report every disagreement."
    )
    fail_on_disagreement: bool = Field(
        False, description="With `verify`: a disagreement fails the flow, after the build."
    )
