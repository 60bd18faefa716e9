"""What an operator may turn: the form that the Prefect UI shows."""

from pydantic import BaseModel, ConfigDict, Field


class BigQuerySettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    project: str = Field(default="ledgermind-ml-analytics", description="Project on Google Cloud.")
    dataset: str = Field(default="ledgermind", description="Dataset of the marts.")
    raw_dataset: str = Field(
        default="ledgermind_raw", description="Dataset of the copies of the operational tables."
    )
    location: str = Field(default="US", description="Location of both datasets.")
    gcp_block: str | None = Field(
        default="ledgermind-gcp",
        description=(
            "Name of the GcpCredentials block. Empty for the identity of the machine (workload "
            "identity). Not looked at when BIGQUERY_EMULATOR_HOST names an emulator."
        ),
    )
    warehouse_block: str | None = Field(
        default=None,
        description="Name of a BigQueryWarehouse block; where given it is used, not gcp_block.",
    )
    maximum_gigabytes_billed: int = Field(
        default=10, gt=0, description="A single query that would read more is refused."
    )
    monthly_budget_usd: float = Field(
        default=50.0,
        gt=0,
        description="A run warns when the month's queries come to more at their pace.",
    )
    usd_per_tebibyte: float = Field(
        default=6.25, ge=0, description="On-demand price of a tebibyte (2^40 bytes) billed."
    )
    rows_per_load: int = Field(
        default=50_000, gt=0, le=1_000_000, description="Rows of one Parquet load job."
    )
    lookback_hours: int = Field(
        default=24,
        ge=0,
        description="How far behind the newest exported change an export begins.",
    )
    excluded_columns: tuple[str, ...] = Field(
        default=("description", "note", "account", "norm_desc", "tokens"),
        description="Columns that never leave the operational database, and those made of them.",
    )


class LedgermindSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str = Field(
        default="ledgermind-postgres",
        description="Name of the SqlAlchemyConnector block of LedgerMind's operational database.",
    )
    bigquery: BigQuerySettings = Field(
        default=BigQuerySettings(), description="Where the export goes and the second build runs."
    )
    sample_events: int | None = Field(
        default=None,
        ge=0,
        le=5_000_000,
        description=(
            "If the database has no suggestion_events table yet, create a sample operational "
            "database with this many events. Tables that are there are never written to."
        ),
    )
    sample_seed: int = Field(default=7, description="The same seed gives the same sample.")
