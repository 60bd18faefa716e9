"""One repository over the API into the raw tables, page by page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from flows.github_scraper import raw
from flows.github_scraper.records import (
    READING,
    DefaultBranchError,
    Head,
    IncompleteWalkError,
    LoadCounts,
    RepositoryBusyError,
    RepositoryFacts,
    RepositoryMissingError,
    Source,
    Walk,
    WalkImpossibleError,
    WalkState,
)
from flows.github_scraper.rules import choose_source, plan_walk
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.client import GithubClient
from flows.github_scraper.source.walks import WalkReader, check_walk
from flows.github_scraper.sync.by_git import emptied
from flows.github_scraper.sync.plans import Plan

READ_LOCK = 7_310_003
# A head that moves while it is being read is followed this often; the next run does the rest.
MAX_WALKS = 3


def sync_planned(
    connection: psycopg.Connection,
    plan: Plan,
    settings: GithubScraperSettings,
    client: GithubClient,
    by_git: Callable[[], LoadCounts],
) -> LoadCounts:
    """Bring one repository up to the head of its plan, by the cheapest way that is exact.

    The connection is in autocommit mode. Walks over the API are kept page by page: a run that is
    stopped at any point goes on where it was, on the head it began with.

    Raises:
        PlatformError: named after the situation; what was loaded before is untouched.
    """
    facts, repository_id = plan.facts, plan.repository.repository_id
    assert facts is not None
    if facts.head_hash is None or facts.ref is None:
        return _empty(connection, plan)
    with _alone(connection, plan):
        counts = LoadCounts(plan.url, Walk.NOTHING)
        for number in range(MAX_WALKS):
            previous = raw.read_head(connection, repository_id)
            is_reread = plan.reread and number == 0
            if previous is not None and _is_current(previous, facts) and not is_reread:
                raw.follow_branch(connection, repository_id, facts.ref)
                break
            walked = _walk(connection, plan, previous, settings, client, is_reread)
            if walked is None:
                raw.drop_walk(connection, repository_id)
                return by_git()
            counts = _added(counts, walked)
        raw.record_success(
            connection, repository_id, is_empty=False, changed=counts.walk is not Walk.NOTHING
        )
        return counts


def _walk(
    connection: psycopg.Connection,
    plan: Plan,
    previous: Head | None,
    settings: GithubScraperSettings,
    client: GithubClient,
    is_reread: bool,
) -> LoadCounts | None:
    """One walk over the API, begun or resumed, and loaded. None where git shall read it."""
    repository_id, facts = plan.repository.repository_id, plan.facts
    assert facts is not None
    if settings.api.path == "git":
        return None
    reader = WalkReader(client, facts, settings.api.page_size)
    state = raw.read_walk(connection, repository_id)
    if state is None or not _may_resume(state, previous):
        state = _begin(facts, previous, settings, reader, is_reread)
        if state is None:
            return None
        raw.start_walk(connection, repository_id, state)
    raw.record_start(connection, repository_id)
    try:
        state = _read_pages(connection, repository_id, state, reader)
        staged, unseen = raw.walked(connection, repository_id)
        check_walk(state, plan.url, staged, unseen)
    except (IncompleteWalkError, WalkImpossibleError):
        raw.drop_walk(connection, repository_id)
        raise
    with connection.transaction():
        raw.lock_head(connection, repository_id)
        return raw.load_api_walk(connection, repository_id, plan.url, state)


def _begin(
    facts: RepositoryFacts,
    previous: Head | None,
    settings: GithubScraperSettings,
    reader: WalkReader,
    is_reread: bool,
) -> WalkState | None:
    """What has to be read, and how. None where git shall."""

    def source(new: int | None) -> Source:
        return choose_source(
            facts, settings.api.path, settings.max_mirror_megabytes, settings.api.few_commits, new
        )

    if previous is None or previous.shallow_boundary or is_reread or previous.reading != READING:
        chosen = source(None)
        if chosen is Source.GIT:
            return None
        head, mailmap, total = reader.start(chosen)
        return WalkState(
            Walk.FULL, chosen, head, None, mailmap, total, is_rewritten=previous is not None
        )
    assert facts.head_hash is not None
    new: int | None
    try:
        new, is_rewritten = reader.compare(previous.head_hash, facts.head_hash)
        walk = Walk.DELTA
    except (RepositoryMissingError, WalkImpossibleError):
        new, is_rewritten, walk = None, True, Walk.FRONTIER
    chosen = source(new)
    if chosen is Source.GIT:
        return None
    head, mailmap, total = reader.start(chosen)
    seen = replace(head, attributes_hash=previous.attributes_hash)
    if plan_walk(previous, seen, is_previous_in_mirror=True) is Walk.FULL:
        # The mailmap changed: every commit may belong to someone else now.
        return WalkState(Walk.FULL, chosen, head, None, mailmap, total, is_rewritten)
    base = previous.head_hash if walk is Walk.DELTA else None
    return WalkState(walk, chosen, head, base, mailmap, new, is_rewritten)


def _is_current(previous: Head, facts: RepositoryFacts) -> bool:
    return previous.head_hash == facts.head_hash and previous.reading == READING


def _may_resume(state: WalkState, previous: Head | None) -> bool:
    """A delta begun from another head than the one loaded now would leave a gap."""
    return state.walk is not Walk.DELTA or (
        previous is not None and previous.head_hash == state.base_hash
    )


def _read_pages(
    connection: psycopg.Connection, repository_id: int, state: WalkState, reader: WalkReader
) -> WalkState:
    """Fetch what is left of a walk; each page is kept before the next is asked for."""
    is_frontier = state.walk is Walk.FRONTIER
    seen, unseen = raw.frontier(connection, repository_id) if is_frontier else (set(), set())
    while not state.is_complete:
        page = reader.page(state)
        state = raw.save_page(connection, repository_id, state, page)
        if is_frontier and not state.is_complete:
            seen |= {commit.commit_hash for commit in page.commits}
            unseen |= {parent for commit in page.commits for parent in commit.parent_hashes}
            unseen -= seen
            unseen -= raw.loaded_among(connection, repository_id, unseen)
            if not unseen:
                state = raw.close_walk(connection, repository_id, state)
    return state


def _empty(connection: psycopg.Connection, plan: Plan) -> LoadCounts:
    if raw.read_head(connection, plan.repository.repository_id) is not None:
        raise emptied(plan.url)
    if plan.facts is not None and not plan.facts.is_empty:
        raise DefaultBranchError(
            f"Reading {plan.url}",
            "its default branch has no commits, though the repository is not empty",
            "Choose another default branch in the settings of the repository",
        )
    raw.record_success(connection, plan.repository.repository_id, is_empty=True, changed=False)
    return LoadCounts(plan.url, Walk.NOTHING)


def _added(counts: LoadCounts, more: LoadCounts) -> LoadCounts:
    return replace(
        more,
        commits_written=counts.commits_written + more.commits_written,
        commits_orphaned=counts.commits_orphaned + more.commits_orphaned,
    )


@contextmanager
def _alone(connection: psycopg.Connection, plan: Plan) -> Iterator[None]:
    """Hold a repository against other runs that read it over the API.

    The lock belongs to the database session, so a killed run gives it back.
    """
    key = (READ_LOCK, plan.repository.repository_id)
    taken = connection.execute("select pg_try_advisory_lock(%s::int, %s::int)", key).fetchone()
    if taken != (True,):
        raise RepositoryBusyError(
            f"Reading {plan.url} over the API",
            "another run is reading it",
            "Wait for that run to end; the next one continues from there",
        )
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("select pg_advisory_unlock(%s::int, %s::int)", key)
