"""One repository, from wherever it is best read, into the raw tables. Knows no Prefect."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from flows._shared.errors import PermanentError, PlatformError
from flows.github_scraper import raw
from flows.github_scraper.records import (
    READING,
    DefaultBranchError,
    Head,
    IncompleteWalkError,
    KnownRepository,
    LoadCounts,
    MirrorBrokenError,
    RepositoryBusyError,
    RepositoryEmptiedError,
    RepositoryFacts,
    RepositoryMissingError,
    Source,
    Walk,
    WalkImpossibleError,
    WalkState,
)
from flows.github_scraper.rules import choose_source, plan_walk
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source import planning
from flows.github_scraper.source.client import GithubClient
from flows.github_scraper.source.git import GitLimits, Mirror, open_mirror
from flows.github_scraper.source.walks import WalkReader, check_walk

MEGABYTE = 1_000_000
READ_LOCK = 7_310_003
# A head that moves while it is being read is followed this often; the next run does the rest.
MAX_WALKS = 3


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


def resolve_accounts(
    connection: psycopg.Connection,
    client: GithubClient,
    settings: GithubScraperSettings,
    now: datetime,
) -> tuple[int, int]:
    """Find the GitHub account of every e-mail that is new, and merge the contributors that are
    one person. Returns the e-mails looked up and the identities that moved."""
    pending = raw.pending_emails(connection, now - timedelta(days=settings.api.email_recheck_days))
    for node_id, group in groupby(pending, key=lambda each: each.node_id):
        emails = list(group)
        lookups = [each.lookup for each in emails]
        found = (
            planning.fetch_accounts_over_rest(client, emails[0].name_with_owner, lookups)
            if settings.api.path == "rest"
            else planning.fetch_accounts(client, node_id, lookups)
        )
        raw.save_accounts(connection, found, now)
    return len(pending), raw.merge_accounts(connection)


def sync_repository(
    connection: psycopg.Connection,
    url: str,
    settings: GithubScraperSettings,
    cache_dir: Path,
    token: str | None = None,
    *,
    reread: bool = False,
) -> LoadCounts:
    """Bring one repository's raw rows up to its default branch's head, by git.

    The connection is in autocommit mode. A second call with nothing new touches only the
    repository's own ``last_attempt_at`` and ``last_processed_at``.

    Raises:
        PlatformError: named after the situation; nothing of this sync was written.
    """
    limits = GitLimits(
        timeout_seconds=settings.git_timeout_seconds,
        max_mirror_bytes=settings.max_mirror_megabytes * MEGABYTE,
        lock_timeout_seconds=settings.lock_timeout_seconds,
    )
    with open_mirror(url, cache_dir, limits, token, settings.api.host_url) as mirror:
        try:
            return _sync_from(mirror, connection, url, reread)
        except MirrorBrokenError:
            mirror.drop()
            return _sync_from(mirror, connection, url, reread)


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
        raise _emptied(plan.url)
    if plan.facts is not None and not plan.facts.is_empty:
        raise DefaultBranchError(
            f"Reading {plan.url}",
            "its default branch has no commits, though the repository is not empty",
            "Choose another default branch in the settings of the repository",
        )
    raw.record_success(connection, plan.repository.repository_id, is_empty=True, changed=False)
    return LoadCounts(plan.url, Walk.NOTHING)


def _emptied(url: str) -> RepositoryEmptiedError:
    return RepositoryEmptiedError(
        f"Fetching {url}",
        "it has no default branch any more, though commits were loaded from it before",
        "Check the repository; its loaded rows were left as they are",
    )


def _added(counts: LoadCounts, more: LoadCounts) -> LoadCounts:
    return replace(
        more,
        commits_written=counts.commits_written + more.commits_written,
        commits_orphaned=counts.commits_orphaned + more.commits_orphaned,
        notes=(*counts.notes, *more.notes),
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


def _sync_from(
    mirror: Mirror, connection: psycopg.Connection, url: str, reread: bool
) -> LoadCounts:
    head = mirror.fetch()
    repository_id = raw.register_repository(connection, url)
    if head is None:
        if raw.read_head(connection, repository_id) is not None:
            raise _emptied(url)
        raw.record_success(connection, repository_id, is_empty=True, changed=False)
        return LoadCounts(url, Walk.NOTHING)
    seen = raw.read_head(connection, repository_id)
    if seen is None or seen != replace(head, ref=seen.ref):
        raw.record_start(connection, repository_id)
    with connection.transaction():
        previous = raw.lock_head(connection, repository_id)
        is_known = previous is not None and mirror.has_commit(previous.head_hash)
        walk = Walk.FULL if reread else plan_walk(previous, head, is_known)
        counts = LoadCounts(url, walk)
        if walk is Walk.NOTHING:
            raw.follow_branch(connection, repository_id, head.ref)
        else:
            orphans = mirror.read_orphans(head, previous) if previous and is_known else ()
            counts = raw.load_walk(
                connection,
                repository_id,
                url,
                walk,
                head,
                mirror.read_commits(walk, head, previous),
                orphans,
                mirror.count_commits(walk, head, previous),
                mirror.read_mailmap(head),
            )
        raw.record_success(
            connection, repository_id, is_empty=False, changed=walk is not Walk.NOTHING
        )
    if counts.commits_orphaned and previous is not None and is_known:
        mirror.keep(previous.head_hash)
    if walk is not Walk.NOTHING:
        mirror.tidy()
    return counts
