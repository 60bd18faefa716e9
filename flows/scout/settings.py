"""What an operator may turn: the form that the Prefect UI shows."""

from datetime import date
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_DIMENSION = 256
LOCAL_DIMENSION = 512


class QualitySettings(BaseModel):
    """What a data-quality score is made of; scores and their parts go from 0 to 100."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    completeness_weight: float = Field(0.4, ge=0, description="Weight of critical fields filled.")
    uniqueness_weight: float = Field(0.3, ge=0, description="Weight of keys that occur once.")
    timeliness_weight: float = Field(0.3, ge=0, description="Weight of the age of the newest row.")
    points_lost_per_hour: float = Field(5.0, ge=0, description="Timeliness lost per hour of age.")
    window_days: float = Field(
        30,
        gt=0,
        description=(
            "Completeness and uniqueness of bronze and silver are those of the rows ingested in "
            "this many days before the newest."
        ),
    )
    alert_below: float = Field(80.0, ge=0, le=100, description="A score below this is a warning.")

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if not self.completeness_weight + self.uniqueness_weight + self.timeliness_weight:
            raise ValueError("at least one weight must be above 0")
        return self


class EmbeddingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str = Field(
        default="scout-postgres",
        description="Name of the SqlAlchemyConnector block of the database with the layers.",
    )
    endpoint_block: str | None = Field(
        default=None,
        description=(
            "Name of the Secret block of an OpenAI-compatible endpoint, as JSON: "
            '{"url": "https://host/v1", "model": "...", "key": "..."}.'
        ),
    )
    use_local_model: bool = Field(
        default=False,
        description=(
            "Without an endpoint: embed on this machine's CPU with a small multilingual model of "
            "512 dimensions. Needs the extra `embeddings`."
        ),
    )
    use_hashing: bool = Field(
        default=False,
        description=(
            "Without either: embed by hashing words. Deterministic and free; it finds shared "
            "words, not meanings. Its vectors are labelled `hashing-<dimension>`."
        ),
    )
    dimension: int | None = Field(
        default=None,
        ge=1,
        le=2000,
        description=(
            "Length of the vectors that the endpoint's model gives, or that hashing makes; HNSW "
            "indexes at most 2000. Default: 256."
        ),
    )
    embed_anew: bool = Field(
        default=False,
        description=(
            "Forget all vectors and embed everything anew, such as when the endpoint gives another "
            "model under the same name."
        ),
    )
    batch_size: int = Field(default=256, ge=1, le=2048, description="Texts sent at a time.")
    timeout_seconds: float = Field(default=60, gt=0, description="Longest wait for one answer.")

    @model_validator(mode="after")
    def _leaves_the_local_model_its_dimension(self) -> Self:
        if self.is_local and self.dimension not in (None, LOCAL_DIMENSION):
            raise ValueError(f"the local model has {LOCAL_DIMENSION} dimensions")
        return self

    @property
    def is_local(self) -> bool:
        return self.use_local_model and self.endpoint_block is None

    @property
    def length(self) -> int:
        """Of the vectors."""
        return LOCAL_DIMENSION if self.is_local else self.dimension or DEFAULT_DIMENSION


class ScoutSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str | None = Field(
        default=None,
        description=(
            "Folder with CSV and JSON files and .xlsx workbooks, a path or the URL of an object "
            "store. Files with `product` in their name hold products, all others transactions."
        ),
    )
    drive_folder_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+$",
        description=(
            "Id of a Google Drive folder; new and changed files in it and below it are read."
        ),
    )
    sheets: list[str] = Field(
        default=[],
        description="Sheets of workbooks to read. Default: all that are not hidden.",
    )
    docs_folder: str | None = Field(
        default=None,
        description=(
            "Where the documentation of the layers goes, a path or the URL of an object store. "
            "Default: `scout/docs` in the folder of this project's state."
        ),
    )
    quality: QualitySettings = Field(
        default=QualitySettings(), description="How the layers are scored after a build."
    )
    database_block: str = Field(
        default="scout-postgres",
        description="Name of the SqlAlchemyConnector block of the database with the raw tables.",
    )
    dbt_block: str | None = Field(
        default=None,
        description=(
            "Name of the SqlAlchemyConnector block of the role that builds the layers. Default: "
            "`scout-dbt-postgres` where it is registered, else that of `database_block`."
        ),
    )
    drive_credentials_block: str = Field(
        default="scout-drive",
        description="Name of the GcpCredentials block with the service account that may read it.",
    )
    inbox_block: str | None = Field(
        default="webhooks-postgres",
        description=(
            "Name of the SqlAlchemyConnector block of the database with the webhook inbox, whose "
            "deliveries of transactions and products are read. Empty: they are not."
        ),
    )
    drive_api_url: str = Field(
        default="https://www.googleapis.com", description="Where the Drive API is."
    )
    fallback_encoding: str = Field(
        default="cp1252",
        description=(
            "How a file without byte order mark is read when it is not UTF-8. While it is a "
            "Western encoding, files whose letters are those of Czech, Hungarian or Turkish are "
            "read as theirs, and files whose letters look like none, such as Shift-JIS, fail."
        ),
    )
    sample_payloads: int | None = Field(
        default=None,
        gt=0,
        description="Instead of reading a source, generate and load this many sample payloads.",
    )
    sample_seed: int = Field(default=1, description="Seed of the generated sample.")
    sample_end: date | None = Field(
        default=None, description="Last day of the sample. Default: the last day before this month."
    )
