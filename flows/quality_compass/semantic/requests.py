"""One question to the semantic layer, and how it is put into words."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from flows.quality_compass.semantic.filters import as_condition, why_refused

BY_RUN = "_by_run"
RUNS = frozenset({"run", "signal__run_id"})
CUMULATIVE = "cumulative_"
# Under either name a metric that cumulates has a figure of each day.
DAYS_OF_METRICS = ("metric_time", "signal__detected_date")
METRIC_OF_A_FILTER = re.compile(r"\{\{\s*Metric\((?P<arguments>[^{}]*)\)\s*\}\}")
TEXT_OF_A_FILTER = re.compile(r"""['"]([\w.]*)['"]""")
LONGEST_PART = 200
LONGEST_NAME, LONGEST_FILTER, MOST_PARTS = 200, 2_000, 50
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Filter = Annotated[str, Field(max_length=LONGEST_FILTER)]


class MetricsRequest(BaseModel):
    """One question to the semantic layer: metrics and what to group them by, or a saved query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: tuple[Name, ...] = Field(
        (),
        max_length=MOST_PARTS,
        description=(
            "Names of metrics, such as total_signals; those named *_by_run are grouped by run."
        ),
    )
    group_by: tuple[Name, ...] = Field(
        (),
        max_length=MOST_PARTS,
        description="Dimensions, such as signal__domain, facility__region, metric_time__month.",
    )
    where: tuple[Filter, ...] = Field(
        (),
        max_length=MOST_PARTS,
        description="Filters, such as {{ Dimension('signal__severity') }} = 'Critical'; each is "
        "one condition.",
    )
    order_by: tuple[Name, ...] = Field(
        (), max_length=MOST_PARTS, description="Columns; a minus before one descends."
    )
    limit: int | None = Field(None, ge=1, le=10_000, description="Most rows of the answer.")
    start_time: str | None = Field(None, pattern=DAY, description="First day, as YYYY-MM-DD.")
    end_time: str | None = Field(None, pattern=DAY, description="Last day, as YYYY-MM-DD.")
    saved_query: Name | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name of a saved query, instead of metrics: dashboard_severity.",
    )

    @field_validator("metrics", "group_by", "order_by")
    @classmethod
    def _are_names(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            bare = name.removeprefix("-") if info.field_name == "order_by" else name
            if not re.fullmatch(r"[a-z][a-z0-9_]*", bare):
                raise ValueError(f"{name!r} is not a name of the semantic layer")
        return names

    @field_validator("where")
    @classmethod
    def _are_conditions(cls, filters: tuple[str, ...]) -> tuple[str, ...]:
        for number, each in enumerate(filters, start=1):
            if reason := why_refused(each):
                raise ValueError(
                    f"filter {number} holds {reason}; write one condition, such as "
                    "{{ Dimension('signal__severity') }} = 'Critical'"
                )
        return filters

    @field_validator("start_time", "end_time")
    @classmethod
    def _is_a_day(cls, day: str | None) -> str | None:
        if day is not None:
            date.fromisoformat(day)
        return day

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
        for where in self.where:
            for found in METRIC_OF_A_FILTER.finditer(where):
                texts = TEXT_OF_A_FILTER.findall(found["arguments"])
                if RUNS.isdisjoint(texts) and any(each.endswith(BY_RUN) for each in texts):
                    raise ValueError(f"{found[0]}: group by run, for runs do not add up")
        return self

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> "MetricsRequest":
        if self.start_time and self.end_time and self.start_time > self.end_time:
            raise ValueError(f"start_time {self.start_time} is after end_time {self.end_time}")
        return self

    @model_validator(mode="after")
    def _adds_up_no_days(self) -> "MetricsRequest":
        cumulative = [name for name in self.metrics if name.startswith(CUMULATIVE)]
        is_of_some_days = self.start_time or self.end_time or _name_days(self.where)
        if cumulative and is_of_some_days and not _name_days(self.group_by):
            raise ValueError(
                f"{', '.join(cumulative)}: group by metric_time__day, metric_time__month or "
                "another length of time, for days do not add up"
            )
        return self

    def arguments(self) -> list[str]:
        options = {
            "--metrics": ",".join(self.metrics),
            "--group-by": ",".join(self.group_by),
            "--order": ",".join(self.order_by),
            "--limit": self.limit,
            "--saved-query": self.saved_query,
        }
        given = [f"{option}={value}" for option, value in options.items() if value]
        filters = [*map(as_condition, self.where), *self._days()]
        return given + [f"--where={each}" for each in filters]

    def _days(self) -> Iterator[str]:
        """As filters: options of MetricFlow take in the whole month or year that is grouped by."""
        for sign, day in ((">=", self.start_time), ("<=", self.end_time)):
            if day:
                yield f"{{{{ TimeDimension('metric_time', 'day') }}}} {sign} '{day}'"

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


def _name_days(parts: tuple[str, ...]) -> bool:
    return any(name in part for part in parts for name in DAYS_OF_METRICS)


def _some(parts: tuple[str, ...]) -> str:
    told = " ".join(", ".join(parts).split())
    return told if len(told) <= LONGEST_PART else told[:LONGEST_PART].rstrip() + "..."
