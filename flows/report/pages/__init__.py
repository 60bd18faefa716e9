"""From rows to pages: what each figure says. Decisions only; time comes in as an argument."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from functools import partial

from flows.report import words
from flows.report.pages import (
    agent_analytics,
    freshness,
    front,
    github_scraper,
    ledgermind,
    operations,
    quality_compass,
    scout,
)
from flows.report.pages.empty import QUESTIONS, empty_page, unmade_page
from flows.report.records import DOMAINS, DomainData, OperationsData, Page, Site

PAGES: Mapping[str, Callable[[DomainData], Page]] = {
    "github_scraper": github_scraper.page,
    "ledgermind": ledgermind.page,
    "scout": scout.page,
    "quality_compass": quality_compass.page,
}

AGENTS = "agent_analytics"
OLD_AFTER_DAYS = 45


def site(data: Mapping[str, DomainData], operated: OperationsData, now: datetime) -> Site:
    """All pages, the front page first."""
    today = now.date()

    def of_domain(slug: str) -> Page:
        page = with_age(page_of(data[slug], today), data[slug], today)
        # What the coding agents cost is their page's own answer.
        billed = [each for each in operated.budgets if each["slug"] == slug != AGENTS]
        return replace(page, figures=(*page.figures, *operations.budget_figures(billed, now)))

    pages = tuple(
        _or_unmade(slug, title, QUESTIONS[slug], partial(of_domain, slug))
        for slug, title in DOMAINS.items()
    )
    run = _or_unmade(
        operations.SLUG,
        operations.TITLE,
        operations.QUESTION,
        lambda: operations.page(operated, data, now),
    )
    return Site((front.page(pages, run), *pages, run), now)


def _or_unmade(slug: str, title: str, question: str, make: Callable[[], Page]) -> Page:
    """A page that cannot be made says so, and stops no other."""
    try:
        return make()
    except Exception:  # noqa: BLE001
        return unmade_page(slug, title, question, traceback.format_exc())


def page_of(data: DomainData, today: date) -> Page:
    if data.is_empty:
        return empty_page(data)
    page = agent_analytics.page(data, today) if data.slug == AGENTS else PAGES[data.slug](data)
    return replace(page, to_do=(*_unread(data), *page.to_do))


def _unread(data: DomainData) -> Iterator[str]:
    for extract in data.extracts.values():
        if extract.unread:
            read = len(extract.rows)
            yield (
                f"{extract.relation} holds {words.number(read + extract.unread)} rows, of which "
                f"the first {words.number(read)} were read: what is counted and listed of them is "
                "of these."
            )


def with_age(page: Page, data: DomainData, today: date) -> Page:
    """A page that says so where its facts are old, as those of a sample are."""
    newest = freshness.newest_fact(data)
    if newest is None:
        return page
    age = (today - newest).days
    if age <= OLD_AFTER_DAYS:
        return page
    told = (
        f"The newest facts are of {newest:%Y-%m-%d}, {words.count(age, 'day')} before this report: "
        "these are rows of a sample, or of a source that stands still."
    )
    return replace(page, to_do=(told, *page.to_do))
