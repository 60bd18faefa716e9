"""What BigQuery's own job statistics say was billed, by the model a job was for.

Jobs tell their model by labels: dbt's by the project's query comment, an export's by its client.
Where the server gives no figure (an emulator, a job answered from cache) none is made up.
"""

import calendar
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from google.cloud import bigquery

TEBIBYTE = 1 << 40
UNLABELLED = "(no label)"


@dataclass(frozen=True)
class JobCost:
    """One finished query job; None where the server did not say."""

    model: str
    created_at: datetime
    bytes_billed: int | None
    slot_milliseconds: int | None


@dataclass(frozen=True)
class ModelCost:
    """The jobs of one model; ``jobs_told`` of them have a figure for the bytes billed."""

    model: str
    jobs: int
    jobs_told: int
    bytes_billed: int | None
    slot_seconds: float | None
    usd: float | None


@dataclass(frozen=True)
class Budget:
    """Spent since the first of the month, and what the month comes to at that pace."""

    spent_usd: float
    projected_usd: float
    budget_usd: float

    @property
    def is_exceeded(self) -> bool:
        return self.projected_usd > self.budget_usd

    def __str__(self) -> str:
        return (
            f"BigQuery: {self.spent_usd:.2f} USD this month, {self.projected_usd:.2f} USD at its "
            f"end at this pace; the budget is {self.budget_usd:.2f} USD"
        )


def fetch_jobs(client: bigquery.Client, domain: str, since: datetime) -> Iterator[JobCost]:
    """The domain's finished query jobs of this login since a moment (with a zone).

    Raises google.api_core.exceptions.GoogleAPIError when BigQuery refuses.
    """
    for job in client.list_jobs(min_creation_time=since, state_filter="done"):
        if not isinstance(job, bigquery.QueryJob):
            continue
        # A list of jobs does not always carry labels.
        labels = job.labels or client.get_job(job.job_id, location=job.location).labels
        if labels.get("domain") == domain:
            yield JobCost(
                labels.get("model", UNLABELLED),
                job.created,
                job.total_bytes_billed,
                job.slot_millis,
            )


def by_model(jobs: Iterable[JobCost], usd_per_tebibyte: float) -> list[ModelCost]:
    """The dearest first, then by name; jobs without a figure are counted and add nothing."""
    grouped: dict[str, list[JobCost]] = defaultdict(list)
    for job in jobs:
        grouped[job.model].append(job)
    costs = []
    for model, own in grouped.items():
        billed = [job.bytes_billed for job in own if job.bytes_billed is not None]
        slots = [job.slot_milliseconds for job in own if job.slot_milliseconds is not None]
        total = sum(billed) if billed else None
        costs.append(
            ModelCost(
                model,
                len(own),
                len(billed),
                total,
                sum(slots) / 1000 if slots else None,
                None if total is None else round(total / TEBIBYTE * usd_per_tebibyte, 6),
            )
        )
    return sorted(costs, key=lambda cost: (-(cost.bytes_billed or 0), cost.model))


def month_start(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def project(costs: Iterable[ModelCost], budget_usd: float, now: datetime) -> Budget | None:
    """The month's budget from its costs so far; None when BigQuery told no billed bytes at all.

    A month that is younger than a day counts as a day old, or its first job would be multiplied.
    """
    told = [cost.usd for cost in costs if cost.usd is not None]
    if not told:
        return None
    days = calendar.monthrange(now.year, now.month)[1]
    elapsed = max((now - month_start(now)).total_seconds() / 86_400, 1.0)
    return Budget(sum(told), sum(told) / elapsed * days, budget_usd)
