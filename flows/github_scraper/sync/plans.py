"""Asks GitHub about all repositories at once: which have something new."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import psycopg

from flows._shared.errors import PermanentError, PlatformError
from flows.github_scraper import raw
from flows.github_scraper.records import (
    KnownRepository,
    RepositoryFacts,
)
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source import planning
from flows.github_scraper.source.client import GithubClient


@dataclass(frozen=True)
class Plan:
    """What was found out about one repository before its turn came.

    ``facts`` is None where there is no API: then git finds out everything itself. ``reread``
    asks for the whole history whatever is loaded already.
    """

    repository: KnownRepository
    facts: RepositoryFacts | None = None
    reread: bool = False

    @property
    def url(self) -> str:
        return self.repository.url


@dataclass
class Planned:
    """The repositories whose turn comes, and what is to be said of the others."""

    plans: list[Plan] = field(default_factory=list)
    unchanged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def is_on(host_url: str, url: str) -> bool:
    """Whether a repository is on the GitHub whose API is used."""
    return urlsplit(url).netloc == urlsplit(host_url).netloc


def plan_repositories(
    connection: psycopg.Connection,
    client: GithubClient,
    urls: Sequence[str],
    settings: GithubScraperSettings,
    now: datetime,
    *,
    reread: bool = False,
) -> Planned:
    """Ask GitHub about all repositories at once: a point for a hundred of them.

    Known ones are asked for by their permanent id, so that a rename neither loses one nor lets
    another slip into its place. ``urls`` that GitHub does not know are recorded as failed.
    """
    planned = Planned()
    known = {each.url: each for each in raw.find_repositories(connection, urls)}
    asked: dict[int, tuple[KnownRepository, RepositoryFacts]] = {}
    by_id = [each for each in known.values() if each.node_id and each.github_id]
    new = [url for url in urls if url not in known or known[url] not in by_id]
    if settings.api.path == "rest":
        by_id, new = [], list(urls)
    found = planning.fetch_known(client, [str(each.node_id) for each in by_id])
    for repository in by_id:
        facts = found[str(repository.node_id)]
        if facts is not None:
            asked[repository.repository_id] = (repository, facts)
        else:
            _note_missing(connection, client, repository, planned, now)
    for url, answer in _fetch_new(connection, client, new, known, settings).items():
        if isinstance(answer, PlatformError):
            raw.register_repository(connection, url)
            raw.record_failure(
                connection, url, str(answer), is_permanent=isinstance(answer, PermanentError)
            )
            planned.failed[url] = str(answer)
            continue
        repository = raw.find_by_github_id(connection, answer.account_repository_id) or known.get(
            url, KnownRepository(0, url, None, None, None)
        )
        if repository.repository_id == 0:
            repository = replace(repository, repository_id=raw.register_repository(connection, url))
        asked[repository.repository_id] = (repository, answer)
    stored = raw.recorded(connection, asked)
    for repository, facts in _detailed(client, list(asked.values()), settings, now):
        is_stored = stored.get(repository.repository_id) == raw.fingerprint(facts)
        if is_stored and facts.topics is None and repository.url in known:
            planned.plans.append(Plan(repository, facts, reread))
            continue
        try:
            url = raw.record_facts(connection, repository, facts, settings.api.host_url, now)
        except PermanentError as error:
            planned.failed[repository.url] = str(error)
            continue
        if url != repository.url:
            planned.notes.append(f"{repository.url} is {url} now")
        planned.plans.append(Plan(replace(repository, url=url), facts, reread))
    if not reread:
        unchanged = raw.record_unchanged(
            connection,
            {
                plan.repository.repository_id: (plan.facts.ref, plan.facts.head_hash)
                for plan in planned.plans
                if plan.facts is not None and plan.facts.ref and plan.facts.head_hash
            },
        )
        planned.unchanged = len(unchanged)
        planned.plans = [
            plan for plan in planned.plans if plan.repository.repository_id not in unchanged
        ]
    return planned


def _fetch_new(
    connection: psycopg.Connection,
    client: GithubClient,
    urls: Sequence[str],
    known: Mapping[str, KnownRepository],
    settings: GithubScraperSettings,
) -> dict[str, RepositoryFacts | PlatformError]:
    if settings.api.path != "rest":
        return planning.fetch_new(client, urls)
    found: dict[str, RepositoryFacts | PlatformError] = {}
    for url in urls:
        head = raw.read_head(connection, known[url].repository_id) if url in known else None
        try:
            found[url] = planning.fetch_one_over_rest(
                client, url, None if head is None else head.head_hash
            )
        except PermanentError as error:
            found[url] = error
    return found


def _note_missing(
    connection: psycopg.Connection,
    client: GithubClient,
    repository: KnownRepository,
    planned: Planned,
    now: datetime,
) -> None:
    """A known repository was not shown: its number is asked for before anything is concluded."""
    assert repository.github_id is not None
    if planning.fetch_by_id(client, repository.github_id):
        planned.notes.append(f"{repository.url}: GitHub denied it once; the next run asks again")
        return
    is_missing = raw.record_missing(connection, repository.repository_id, now)
    planned.notes.append(
        f"{repository.url}: "
        + (
            "missing on GitHub; its rows are kept"
            if is_missing
            else "not found; it counts as missing if it still is in an hour"
        )
    )


def _detailed(
    client: GithubClient,
    asked: Sequence[tuple[KnownRepository, RepositoryFacts]],
    settings: GithubScraperSettings,
    now: datetime,
) -> Iterator[tuple[KnownRepository, RepositoryFacts]]:
    """Add topics and languages to those whose own are old: they cost points."""
    oldest = now - timedelta(hours=settings.api.metadata_hours)
    due = [
        facts.node_id
        for repository, facts in asked
        if settings.api.path != "rest"
        and (repository.metadata_observed_at is None or repository.metadata_observed_at <= oldest)
    ]
    details = planning.fetch_details(client, due) if due else {}
    for repository, facts in asked:
        topics, languages = details.get(facts.node_id, (facts.topics, facts.languages))
        yield repository, replace(facts, topics=topics, languages=languages)
