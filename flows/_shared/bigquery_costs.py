"""What BigQuery's own job statistics say was billed, by the model a job was for.

Jobs tell their model by labels: dbt's by the project's query comment, an export's by its client.
Where the server gives no figure (an emulator, a job that failed before it read) none is made up.
A job on a reservation is billed by its slots' capacity: its bytes are told, and no price.
"""

import calendar
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.cloud import bigquery

from flows._shared.budgets import Budget

TEBIBYTE = 1 << 40
UNLABELLED = "(no label)"
# What a job's usage of reservations is called where it used none.
ON_DEMAND = "unreserved"
JOBS_OF_PROJECT = """
select creation_time, labels, total_bytes_billed, total_slot_ms, cache_hit, error_result,
    parent_job_id, reservation_id
from `region-{region}`.INFORMATION_SCHEMA.JOBS
where creation_time >= @since and state = 'DONE' and job_type = 'QUERY' and parent_job_id is null
    and exists (
        select 1 from unnest(labels) as label where label.key = 'domain' and label.value = @domain
    )
"""


@dataclass(frozen=True)
class JobCost:
    """One finished query job; None where the server did not say."""

    model: str
    created_at: datetime
    bytes_billed: int | None
    slot_milliseconds: int | None
    is_cached: bool = False
    is_failed: bool = False
    is_reserved: bool = False


@dataclass(frozen=True)
class ModelCost:
    """The jobs of one model; ``jobs_told`` of them have a figure for the bytes billed.

    ``bytes_billed`` and ``usd`` are those of jobs on demand: what ran on a reservation is in
    ``jobs``, ``jobs_reserved`` and ``slot_seconds`` alone.
    """

    model: str
    jobs: int
    jobs_told: int
    jobs_cached: int
    jobs_failed: int
    jobs_reserved: int
    bytes_billed: int | None
    slot_seconds: float | None
    usd: float | None


def fetch_jobs(client: bigquery.Client, domain: str, since: datetime) -> Iterator[JobCost]:
    """The domain's finished query jobs of this login since a moment (with a zone).

    A script is one job, whose figures are the sums of its statements': those are not listed.

    Raises google.api_core.exceptions.GoogleAPIError when BigQuery refuses.
    """
    for job in client.list_jobs(min_creation_time=since, state_filter="done"):
        if not isinstance(job, bigquery.QueryJob) or job.parent_job_id:
            continue
        if job.labels.get("domain") == domain:
            yield JobCost(
                model=job.labels.get("model", UNLABELLED),
                created_at=job.created,
                bytes_billed=job.total_bytes_billed,
                slot_milliseconds=job.slot_millis,
                is_cached=bool(job.cache_hit),
                is_failed=job.error_result is not None,
                is_reserved=_is_reserved(job),
            )


def _is_reserved(job: bigquery.QueryJob) -> bool:
    """Newer jobs name their reservation; older ones tell how they used which."""
    usages = job.reservation_usage
    return bool(job.reservation_id) or any(usage.name != ON_DEMAND for usage in usages)


def fetch_jobs_of_project(
    client: bigquery.Client, domain: str, since: datetime, location: str
) -> Iterator[JobCost]:
    """The domain's finished query jobs of every login, from INFORMATION_SCHEMA.JOBS.

    The query is a job itself, of at least 10 MB. The login needs bigquery.jobs.listAll.

    Raises google.api_core.exceptions.GoogleAPIError when BigQuery refuses.
    """
    parameters = [
        bigquery.ScalarQueryParameter("since", "TIMESTAMP", since),
        bigquery.ScalarQueryParameter("domain", "STRING", domain),
    ]
    configuration = bigquery.QueryJobConfig(
        query_parameters=parameters, labels={"domain": domain, "tool": "costs", "model": "costs"}
    )
    statement = JOBS_OF_PROJECT.format(region=location.lower())
    rows = client.query(statement, job_config=configuration, location=location).result()
    yield from jobs_of_rows(rows, domain)


def jobs_of_rows(rows: Iterable[Mapping[str, Any]], domain: str) -> Iterator[JobCost]:
    """Those of INFORMATION_SCHEMA.JOBS, which has a script's statements beside the script."""
    for row in rows:
        labels = {label["key"]: label["value"] for label in row["labels"] or ()}
        if labels.get("domain") == domain and row["parent_job_id"] is None:
            yield JobCost(
                model=labels.get("model", UNLABELLED),
                created_at=row["creation_time"],
                bytes_billed=row["total_bytes_billed"],
                slot_milliseconds=row["total_slot_ms"],
                is_cached=bool(row["cache_hit"]),
                is_failed=row["error_result"] is not None,
                is_reserved=bool(row["reservation_id"]),
            )


def by_model(jobs: Iterable[JobCost], usd_per_tebibyte: float) -> list[ModelCost]:
    """The dearest first, then by name; jobs without a figure are counted and add nothing."""
    grouped: dict[str, list[JobCost]] = defaultdict(list)
    for job in jobs:
        grouped[job.model].append(job)
    costs = [_of_model(model, own, usd_per_tebibyte) for model, own in grouped.items()]
    return sorted(costs, key=lambda cost: (-(cost.bytes_billed or 0), cost.model))


def _of_model(model: str, jobs: list[JobCost], usd_per_tebibyte: float) -> ModelCost:
    on_demand = [job for job in jobs if not job.is_reserved]
    billed = [job.bytes_billed for job in on_demand if job.bytes_billed is not None]
    slots = [job.slot_milliseconds for job in jobs if job.slot_milliseconds is not None]
    total = sum(billed) if billed else None
    return ModelCost(
        model=model,
        jobs=len(jobs),
        jobs_told=len(billed),
        jobs_cached=sum(job.is_cached for job in jobs),
        jobs_failed=sum(job.is_failed for job in jobs),
        jobs_reserved=len(jobs) - len(on_demand),
        bytes_billed=total,
        slot_seconds=sum(slots) / 1000 if slots else None,
        usd=None if total is None else round(total / TEBIBYTE * usd_per_tebibyte, 6),
    )


def remark(costs: Iterable[ModelCost]) -> str:
    """What a price by bytes leaves out; empty where it leaves out nothing."""
    costs = list(costs)
    reserved = sum(cost.jobs_reserved for cost in costs)
    untold = sum(cost.jobs - cost.jobs_told - cost.jobs_reserved for cost in costs)
    failed = sum(cost.jobs_failed for cost in costs)
    parts = (
        (reserved, f"{reserved} jobs ran on a reservation, which is billed by its capacity"),
        (untold, f"{untold} jobs have no figure"),
        (failed, f"{failed} jobs failed"),
    )
    return "; ".join(part for count, part in parts if count)


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
    spent = sum(told)
    return Budget("BigQuery", f"{now:%Y-%m}", spent, spent / elapsed * days, budget_usd)
