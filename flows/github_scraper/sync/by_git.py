"""One repository by git into the raw tables."""

from dataclasses import replace
from pathlib import Path

import psycopg

from flows.github_scraper import raw
from flows.github_scraper.records import (
    LoadCounts,
    MirrorBrokenError,
    RepositoryEmptiedError,
    Walk,
)
from flows.github_scraper.rules import plan_walk
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.command import GitLimits
from flows.github_scraper.source.git import Mirror, open_mirror

MEGABYTE = 1_000_000


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


def _sync_from(
    mirror: Mirror, connection: psycopg.Connection, url: str, reread: bool
) -> LoadCounts:
    head = mirror.fetch()
    repository_id = raw.register_repository(connection, url)
    if head is None:
        if raw.read_head(connection, repository_id) is not None:
            raise emptied(url)
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


def emptied(url: str) -> RepositoryEmptiedError:
    return RepositoryEmptiedError(
        f"Fetching {url}",
        "it has no default branch any more, though commits were loaded from it before",
        "Check the repository; its loaded rows were left as they are",
    )
