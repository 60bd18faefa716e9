"""One question to the semantic layer, and how it is put into words."""

import re
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

BY_RUN = "_by_run"
RUNS = frozenset({"run", "signal__run_id"})
LONGEST_PART = 200


class MetricsRequest(BaseModel):
    """One question to the semantic layer: metrics and what to group them by, or a saved query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: tuple[str, ...] = Field(
        (),
        description=(
            "Names of metrics, such as total_signals; those named *_by_run are grouped by run."
        ),
    )
    group_by: tuple[str, ...] = Field(
        (), description="Dimensions, such as signal__domain, facility__region, metric_time__month."
    )
    where: tuple[str, ...] = Field(
        (), description="Filters, such as {{ Dimension('signal__severity') }} = 'Critical'."
    )
    order_by: tuple[str, ...] = Field((), description="Columns; a minus before one descends.")
    limit: int | None = Field(None, ge=1, le=10_000, description="Most rows of the answer.")
    start_time: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}$", description="First day, as YYYY-MM-DD."
    )
    end_time: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}$", description="Last day, as YYYY-MM-DD."
    )
    saved_query: str | None = Field(
        None, description="Name of a saved query, instead of metrics: dashboard_severity."
    )

    @field_validator("metrics", "group_by")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"{name!r} is not a name of the semantic layer")
        return names

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "MetricsRequest":
        if bool(self.metrics) == bool(self.saved_query):
            raise ValueError("give metrics or a saved query, one of them")
        return self

    @model_validator(mode="after")
    def _adds_up_no_runs(self) -> "MetricsRequest":
        by_run = [name for name in self.metrics if name.endswith(BY_RUN)]
        if by_run and RUNS.isdisjoint(self.group_by):
            raise ValueError(f"{', '.join(by_run)}: group by run, for runs do not add up")
        return self

    def arguments(self) -> list[str]:
        options = {
            "--metrics": ",".join(self.metrics),
            "--group-by": ",".join(self.group_by),
            "--order": ",".join(self.order_by),
            "--limit": self.limit,
            "--start-time": self.start_time,
            "--end-time": self.end_time,
            "--saved-query": self.saved_query,
        }
        given = [f"{option}={value}" for option, value in options.items() if value]
        return given + [f"--where={each}" for each in self.where]

    def __str__(self) -> str:
        """What is asked, as a message tells it."""
        return " ".join(self._words())

    def _words(self) -> Iterator[str]:
        yield f"the saved query {self.saved_query}" if self.saved_query else _some(self.metrics)
        if self.group_by:
            yield f"by {_some(self.group_by)}"
        if self.where:
            yield f"where {_some(self.where)}"
        if self.start_time:
            yield f"from {self.start_time}"
        if self.end_time:
            yield f"to {self.end_time}"
        if self.order_by:
            yield f"ordered by {_some(self.order_by)}"
        if self.limit:
            yield f"at most {self.limit} rows"


def _some(parts: tuple[str, ...]) -> str:
    told = " ".join(", ".join(parts).split())
    return told if len(told) <= LONGEST_PART else told[:LONGEST_PART].rstrip() + "..."
