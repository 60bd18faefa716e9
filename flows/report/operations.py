"""The flow that makes the report: read each domain, ask the server, publish."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client

from flows._shared.errors import PlatformError
from flows._shared.markdown import code, plain
from flows._shared.orchestration.budgets import budgets_key
from flows._shared.orchestration.credentials import (
    MissingBlockError,
    postgres_url,
    reading_block,
    storage_options,
)
from flows._shared.orchestration.flow_run import current_flow_run, kebab
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.retry import retry_transient
from flows.report.making import AGENTS, IN_POSTGRES, make, or_why_not, read_agents, read_from
from flows.report.publish import Published
from flows.report.records import (
    DOMAINS,
    DomainData,
    OperationsData,
    Site,
    UnmadePagesError,
)
from flows.report.settings import ReportSettings
from flows.report.source import nothing, read_operations

PROJECT_TAG = "analytics-flows"
RUN_KEYS = {slug: f"{kebab(slug)}-run" for slug in DOMAINS}
BUDGET_KEYS = {slug: budgets_key(slug) for slug in DOMAINS}


@flow(name="report", flow_run_name=RunName("report of all domains, as of {now}"))
def report(settings: ReportSettings = ReportSettings()) -> None:
    """Make the report of all domains and put it where people open it.

    Args:
        settings: Where it goes and where its figures come from.
    """
    data = {slug: _read(slug, settings) for slug in IN_POSTGRES}
    data[AGENTS] = or_why_not(AGENTS, lambda: read_agents_file(settings.agents_path))
    site, published = write_site(data, ask_the_server(), settings)
    get_run_logger().info(
        "The report is at %s, version %s, %.1f MB",
        *(published.index, published.version, published.size / 1_000_000),
    )
    tell_pages(site, settings)
    create_table_artifact(
        key="report",
        table=[{"page": page.title, "says": page.headline} for page in site.pages],
        description=f"The report is at {published.index}",
    )
    refuse_unmade(site)


def refuse_unmade(site: Site) -> None:
    """
    Raises:
        UnmadePagesError: a page could not be made; its reason is in the log.
    """
    unmade = [page for page in site.pages if page.problem]
    for page in unmade:
        get_run_logger().error("The page of %s: %s", page.title, page.problem)
    if unmade:
        titles = ", ".join(page.title for page in unmade)
        raise UnmadePagesError(
            "Making the report",
            f"these pages could not be made, the others are published: {titles}",
            "The log has the reason; building the domain anew makes its models anew",
        )


def tell_pages(site: Site, settings: ReportSettings) -> None:
    """An artifact ``<domain>-report`` for each page: the link that summaries and alerts repeat."""
    api = current_flow_run()
    if api is None:
        return
    for page in site.pages:
        if page.slug != "index":
            link = page_link(page.title, page.slug, settings)
            api.create_markdown(f"{kebab(page.slug)}-report", link, "The page of the report")


def page_link(title: str, slug: str, settings: ReportSettings) -> str:
    """Markdown that leads to a page of the newest version, or says where it is."""
    folder = (settings.opened_at or settings.address).rstrip("/")
    address = f"{folder}/latest/{slug}.html"
    if settings.opened_at:
        return f"[{plain(title)} in the report]({address})"
    return f"{plain(title)} in the report: {code(address)}"


def _read(slug: str, settings: ReportSettings) -> DomainData:
    block: str = getattr(settings.blocks, slug)
    read = read_domain.with_options(task_run_name=f"read-{kebab(slug)}")
    return or_why_not(slug, lambda: read(slug, block))


@task(
    name="read domain",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def read_domain(slug: str, block: str) -> DomainData:
    try:
        return read_from(slug, postgres_url(reading_block(block)))
    except MissingBlockError as error:
        get_run_logger().info("%s is not set up here: %s", DOMAINS[slug], error)
        return nothing(slug)
    except PlatformError as error:
        get_run_logger().warning("%s", error)
        raise


@task(name="read agents", cache_policy=NO_CACHE)
def read_agents_file(path: Path) -> DomainData:
    try:
        return read_agents(path)
    except PlatformError as error:
        get_run_logger().warning("%s", error)
        raise


@task(
    name="ask the server",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def ask_the_server() -> OperationsData:
    client = get_client(sync_client=True)

    def ask(path: str, body: Mapping[str, Any]) -> Any:
        return client.request("POST", f"/{path}", json=dict(body)).json()  # type: ignore[arg-type]

    return read_operations(ask, PROJECT_TAG, RUN_KEYS, BUDGET_KEYS, datetime.now(UTC))


@task(
    name="write site",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_transient,
    cache_policy=NO_CACHE,
)
def write_site(
    data: Mapping[str, DomainData], operated: OperationsData, settings: ReportSettings
) -> tuple[Site, Published]:
    return make(
        data,
        operated,
        datetime.now(UTC),
        settings.address,
        settings.versions_kept,
        storage_options(settings.storage_block),
    )
