"""What an operator may turn about a domain's copies and marts on BigQuery."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Project = Annotated[str, Field(description="Project on Google Cloud.")]
Dataset = Annotated[str, Field(description="Dataset of the marts.")]
RawDataset = Annotated[str, Field(description="Dataset of the copies of the tables on PostgreSQL.")]
GcpBlock = Annotated[
    str | None,
    Field(
        description=(
            "Name of the GcpCredentials block. Empty for the identity of the machine (workload "
            "identity). Not looked at when BIGQUERY_EMULATOR_HOST names an emulator."
        )
    ),
]
MaximumGigabytesBilled = Annotated[
    int, Field(gt=0, description="A single query that would read more is refused.")
]


class BigQuerySettings(BaseModel):
    """A domain names its own project, datasets and blocks as defaults of these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: Project
    dataset: Dataset
    raw_dataset: RawDataset
    location: str = Field(default="US", description="Location of both datasets.")
    gcp_block: GcpBlock = None
    warehouse_block: str | None = Field(
        default=None,
        description="Name of a BigQueryWarehouse block; where given it is used, not gcp_block.",
    )
    maximum_gigabytes_billed: MaximumGigabytesBilled = 10
    monthly_budget_usd: float = Field(
        default=50.0,
        gt=0,
        description="A run warns, and an alert tells, when the month's queries come to more.",
    )
    usd_per_tebibyte: float = Field(
        default=6.25, ge=0, description="On-demand price of a tebibyte (2^40 bytes) billed."
    )
    counts_all_logins: bool = Field(
        default=False,
        description=(
            "Count the jobs of every login of the project, not only of this one: it must have "
            "bigquery.jobs.listAll."
        ),
    )
    rows_per_load: int = Field(
        default=50_000, gt=0, le=1_000_000, description="Rows of one Parquet load job."
    )
    lookback_hours: int = Field(
        default=24,
        ge=0,
        description="How far behind the newest exported change an export begins.",
    )
