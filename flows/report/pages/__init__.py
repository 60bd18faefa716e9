"""From rows to pages: what each figure says. Decisions only; time comes in as an argument."""

from collections.abc import Callable, Mapping
from datetime import datetime

from flows.report.pages import (
    agent_analytics,
    front,
    github_scraper,
    ledgermind,
    operations,
    quality_compass,
    scout,
)
from flows.report.pages.empty import empty_page
from flows.report.records import DOMAINS, DomainData, OperationsData, Page, Site

PAGES: Mapping[str, Callable[[DomainData], Page]] = {
    "github_scraper": github_scraper.page,
    "ledgermind": ledgermind.page,
    "scout": scout.page,
    "quality_compass": quality_compass.page,
    "agent_analytics": agent_analytics.page,
}


def site(data: Mapping[str, DomainData], operated: OperationsData, now: datetime) -> Site:
    """All pages, the front page first."""
    pages = tuple(page_of(data[slug]) for slug in DOMAINS)
    run = operations.page(operated, data, now)
    return Site((front.page(pages, run), *pages, run), now)


def page_of(data: DomainData) -> Page:
    return empty_page(data) if data.is_empty else PAGES[data.slug](data)
