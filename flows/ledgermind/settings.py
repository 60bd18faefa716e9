"""What an operator may turn: the form that the Prefect UI shows."""

from pydantic import BaseModel, ConfigDict, Field

from flows._shared.bigquery_settings import (
    BigQuerySettings,
    Dataset,
    GcpBlock,
    Project,
    RawDataset,
)

# An operational database of an older shape has not all of them.
PRIVATE_COLUMNS = ("description", "note", "account", "norm_desc", "tokens")


class LedgermindBigQuerySettings(BigQuerySettings):
    project: Project = "ledgermind-ml-analytics"
    dataset: Dataset = "ledgermind"
    raw_dataset: RawDataset = "ledgermind_raw"
    gcp_block: GcpBlock = "ledgermind-gcp"
    excluded_columns: tuple[str, ...] = Field(
        default=PRIVATE_COLUMNS,
        description=(
            "Columns that never leave the operational database, and those made of them. A name "
            "beside the default ones that no table has stops the export."
        ),
    )


class LedgermindSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str = Field(
        default="ledgermind-postgres",
        description="Name of the SqlAlchemyConnector block of LedgerMind's operational database.",
    )
    dbt_block: str | None = Field(
        default=None,
        description=(
            "Name of the SqlAlchemyConnector block of the role that builds the marts. Default: "
            "`ledgermind-dbt-postgres` where it is registered, else that of `database_block`."
        ),
    )
    bigquery: LedgermindBigQuerySettings = Field(
        default=LedgermindBigQuerySettings(),
        description="Where the export goes and the second build runs.",
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
