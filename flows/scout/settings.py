"""What an operator may turn: the form that the Prefect UI shows."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field


class ScoutSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str = Field(
        default="scout-postgres",
        description="Name of the SqlAlchemyConnector block of the database with the raw tables.",
    )
    folder: str | None = Field(
        default=None,
        description=(
            "Folder with CSV and JSON files, a path or the URL of an object store. Files with "
            "`product` in their name hold products, all others transactions."
        ),
    )
    fallback_encoding: str = Field(
        default="cp1252",
        description="How a file without byte order mark is read when it is not UTF-8.",
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
