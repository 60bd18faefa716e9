"""What a month costs against its budget, as a run tells it: alerts are made of the artifact."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from prefect import get_run_logger, task

from flows._shared.bigquery_settings import BigQuerySettings
from flows._shared.budgets import Budget
from flows._shared.counted import counted
from flows._shared.errors import PlatformError
from flows._shared.orchestration.bigquery import bigquery_access
from flows._shared.orchestration.flow_run import current_flow_run, kebab
from flows._shared.orchestration.retry import retry_transient


def budgets_key(domain: str) -> str:
    """Of the table artifact with the budgets of a domain, the newest of which counts."""
    return f"{kebab(domain)}-budgets"


def publish_budgets(domain: str, budgets: Sequence[Budget]) -> None:
    """The artifact ``<domain>-budgets``: all that the domain has, within and exceeded."""
    if api := current_flow_run():
        rows = [asdict(each) for each in budgets]
        api.create_table(budgets_key(domain), rows, "This month against its budgets")


def told_costs(domain: str, settings: BigQuerySettings) -> tuple[str, bool]:
    """A line for the summary on what BigQuery billed this month, and whether it is a warning.

    Where it cannot be asked, the line says so: what the run made is made.
    """
    try:
        return report_costs(domain, settings)
    except PlatformError as error:
        return str(error), True


@task(
    name="report what BigQuery billed",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
)
def report_costs(domain: str, settings: BigQuerySettings) -> tuple[str, bool]:
    """The month's costs by model and against the budget as artifacts; a line for the summary."""
    # google-cloud-bigquery takes a second to import: only who exports pays.
    from flows._shared import bigquery_costs
    from flows._shared.bigquery_export import told_as_ours

    now = datetime.now(UTC)
    since = bigquery_costs.month_start(now)
    with told_as_ours("reading BigQuery's job statistics"):
        client = bigquery_access(settings).client()
        jobs = (
            bigquery_costs.fetch_jobs_of_project(client, domain, since, settings.location)
            if settings.counts_all_logins
            else bigquery_costs.fetch_jobs(client, domain, since)
        )
        costs = bigquery_costs.by_model(jobs, settings.usd_per_tebibyte)
    if api := current_flow_run():
        rows = [vars(cost) for cost in costs]
        api.create_table(f"{kebab(domain)}-bigquery-costs", rows, f"Billed since {since:%d %B}")
    budget = bigquery_costs.project(costs, settings.monthly_budget_usd, now)
    jobs_seen = sum(cost.jobs for cost in costs)
    if budget is not None:
        note = str(budget)
    elif jobs_seen:
        note = f"BigQuery told no billed bytes for {counted(jobs_seen, 'job')}"
    else:
        note = f"BigQuery shows no job of {domain} this month, so what it costs is not known"
    is_exceeded = budget is not None and budget.is_exceeded
    if budget:
        publish_budgets(domain, [budget])
    if is_exceeded:
        get_run_logger().warning("%s", note)
    return "; ".join(filter(None, (note, bigquery_costs.remark(costs)))), is_exceeded
