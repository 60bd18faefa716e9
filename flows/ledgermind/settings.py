"""What an operator may turn: the form that the Prefect UI shows."""

from pydantic import BaseModel, ConfigDict, Field


class LedgermindSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    database_block: str = Field(
        default="ledgermind-postgres",
        description="Name of the SqlAlchemyConnector block of LedgerMind's operational database.",
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
