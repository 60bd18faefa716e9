"""Order, retries and artifacts of the GitHub scraper: fetch each repository, then build dbt."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from prefect import flow, get_run_logger, task
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import dbt_postgres_env, postgres_url, secret_value
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.orchestration.retry import retry_transient
from flows._shared.orchestration.summary import Progress, RunSummary, publish_summary
from flows._shared.state import state_dir
from flows.github_scraper import raw, source
from flows.github_scraper.records import (
    LoadCounts,
    MirrorBrokenError,
    RepositoryEmptiedError,
    Walk,
    total_rows,
)
from flows.github_scraper.rules import plan_walk, repository_path_name, split_addresses
from flows.github_scraper.settings import GithubScraperSettings

SLUG = "github_scraper"
MEGABYTE = 1_000_000
EXAMPLE_QUERY = (
    "select rank, display_name, commits from analytics.leaderboard "
    "where scope = 'overall' and time_window = 'all_time' order by rank limit 10"
)


def run_name() -> str:
    return f"github-scraper {datetime.now(UTC):%Y-%m-%d %H:%M}"


class RepositoriesFailedError(PermanentError):
    """Some repositories did not load; the others did, and the marts were built from them."""


def sync_repository(
    connection: psycopg.Connection,
    url: str,
    settings: GithubScraperSettings,
    cache_dir: Path,
    token: str | None = None,
) -> LoadCounts:
    """Bring one repository's raw rows up to its default branch's head.

    The connection is in autocommit mode. A second call with nothing new touches only the
    repository's own ``last_attempt_at`` and ``last_processed_at``.

    Raises:
        PlatformError: named after the situation; nothing of this sync was written.
    """
    limits = source.GitLimits(
        timeout_seconds=settings.git_timeout_seconds,
        max_mirror_bytes=settings.max_mirror_megabytes * MEGABYTE,
        lock_timeout_seconds=settings.lock_timeout_seconds,
    )
    with source.open_mirror(url, cache_dir, limits, token) as mirror:
        try:
            return _sync_from(mirror, connection, url)
        except MirrorBrokenError:
            mirror.drop()
            return _sync_from(mirror, connection, url)


def _sync_from(mirror: source.Mirror, connection: psycopg.Connection, url: str) -> LoadCounts:
    head = mirror.fetch()
    repository_id = raw.register_repository(connection, url)
    if head is None:
        if raw.read_head(connection, repository_id) is not None:
            raise RepositoryEmptiedError(
                f"Fetching {url}",
                "it has no default branch any more, though commits were loaded from it before",
                "Check the repository; its loaded rows were left as they are",
            )
        raw.record_success(connection, repository_id, is_empty=True, changed=False)
        return LoadCounts(url, Walk.NOTHING)
    seen = raw.read_head(connection, repository_id)
    if seen is None or seen != replace(head, ref=seen.ref):
        raw.record_start(connection, repository_id)
    with connection.transaction():
        previous = raw.lock_head(connection, repository_id)
        is_known = previous is not None and mirror.has_commit(previous.head_hash)
        walk = plan_walk(previous, head, is_known)
        counts = LoadCounts(url, walk)
        if walk is not Walk.NOTHING:
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
            )
        raw.record_success(
            connection, repository_id, is_empty=False, changed=walk is not Walk.NOTHING
        )
    if counts.commits_orphaned and previous is not None and is_known:
        mirror.keep(previous.head_hash)
    if walk is not Walk.NOTHING:
        mirror.tidy()
    return counts


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def prepare(database_block: str) -> None:
    with psycopg.connect(postgres_url(database_block), autocommit=True) as connection:
        raw.ensure_schema(connection)


@task(name="list known repositories")
def known_urls(settings: GithubScraperSettings) -> list[str]:
    with psycopg.connect(postgres_url(settings.database_block), autocommit=True) as connection:
        return raw.known_urls(connection)


@task(
    task_run_name="fetch-{repository}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_transient,
)
def fetch_repository(repository: str, url: str, settings: GithubScraperSettings) -> LoadCounts:
    """One repository from git into the raw tables. ``repository`` is its short name."""
    logger = get_run_logger()
    token = secret_value(settings.token_block) if settings.token_block else None
    cache_dir = settings.cache_dir or state_dir() / "git"
    started = time.monotonic()
    with psycopg.connect(postgres_url(settings.database_block), autocommit=True) as connection:
        try:
            counts = sync_repository(connection, url, settings, cache_dir, token)
        except PlatformError as error:
            raw.register_repository(connection, url)
            raw.record_failure(
                connection, url, str(error), is_permanent=isinstance(error, PermanentError)
            )
            raise
    logger.info(
        "%s: %s commits written, %s orphaned (%s) in %.1f s",
        repository,
        counts.commits_written,
        counts.commits_orphaned,
        counts.walk.value,
        time.monotonic() - started,
    )
    return counts


def fetch_repositories(
    addresses: Sequence[str], settings: GithubScraperSettings, progress: Progress
) -> tuple[list[LoadCounts], dict[str, str]]:
    """All repositories, a few at a time. Returns what loaded and why the others did not."""
    loaded: list[LoadCounts] = []
    urls, failed = split_addresses(addresses)
    total = len(urls) + len(failed)
    pending: dict[str, PrefectFuture[LoadCounts]]
    with ThreadPoolTaskRunner[LoadCounts](max_workers=settings.concurrency) as runner:
        pending = {
            url: runner.submit(
                fetch_repository,
                {"repository": repository_path_name(url), "url": url, "settings": settings},
            )
            for url in urls
        }
        while pending:
            progress.update("load", total - len(pending), total, total_rows(loaded))
            done = wait(list(pending.values()), timeout=1).done
            for url in [url for url, future in pending.items() if future in done]:
                outcome: object = pending.pop(url).result(raise_on_failure=False)
                if isinstance(outcome, LoadCounts):
                    loaded.append(outcome)
                else:
                    failed[url] = str(outcome)
    progress.update("load", total, total, total_rows(loaded))
    return loaded, failed


@flow(name="github-scraper", flow_run_name=run_name)
def refresh(
    repositories: list[str] | None = None,
    settings: GithubScraperSettings = GithubScraperSettings(),
    dbt: DbtOptions = DbtOptions(),
) -> None:
    """Load new commits of each repository and rebuild the commit analytics.

    Args:
        repositories: Clone addresses or absolute paths. Default: every repository loaded before.
        settings: Where to read from and write to, and what a repository may cost.
        dbt: Which models to build, and how.
    """
    started = time.monotonic()
    progress = Progress(SLUG)
    prepare(settings.database_block)
    addresses = repositories or known_urls(settings)
    if not addresses:
        raise PermanentError(
            "Refreshing the GitHub scraper",
            "no repository was given and none was loaded before",
            "Give some in the parameter `repositories`",
        )
    loaded, failed = fetch_repositories(addresses, settings, progress)
    outcome = build_dbt(SLUG, dbt_postgres_env(settings.database_block), dbt, progress=progress)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=total_rows(loaded),
            models_built=outcome.models_built,
            tests_passed=outcome.tests_passed,
            warnings=outcome.warnings,
            failures=outcome.failures + len(failed),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=tuple(f"{address}: {reason}" for address, reason in failed.items()),
        ),
    )
    if failed:
        listed = "\n".join(f"- {url}: {reason}" for url, reason in failed.items())
        raise RepositoriesFailedError(
            f"Loading {len(addresses)} repositories",
            f"{len(failed)} failed, the others were loaded and built:\n{listed}",
            "Mend or remove these and run again",
        )
