"""Order, retries and artifacts of the GitHub scraper: fetch each repository, then build dbt."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prefect import flow
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows._shared.counted import counted, failed_of
from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows._shared.orchestration.cancellation import threads_that_stop
from flows._shared.orchestration.credentials import building_block, dbt_postgres_env
from flows._shared.orchestration.dbt import DbtOptions, DbtOutcome, build_dbt
from flows._shared.orchestration.events import EventsNotTakenError, emit_landed
from flows._shared.orchestration.failed_run import summarized
from flows._shared.orchestration.flow_run import suspend_until
from flows._shared.orchestration.naming import RunName
from flows._shared.orchestration.summary import (
    Progress,
    RunSummary,
    publish_load,
    publish_summary,
)
from flows.github_scraper.flow.tasks import (
    Prepared,
    fetch_repository,
    fill_leaderboard,
    known_urls,
    list_repositories,
    plan,
    prepare,
    report_size,
    resolve,
)
from flows.github_scraper.records import (
    EXAMPLE_QUERY,
    LoadCounts,
    RateLimitedError,
    total_rows,
)
from flows.github_scraper.rules import repository_path_name, split_addresses
from flows.github_scraper.settings import GithubScraperSettings
from flows.report.telling import told_answer

SLUG = "github_scraper"


class RepositoriesFailedError(PermanentError):
    """Some repositories did not load; the others did, and the marts were built from them."""


@dataclass
class Outcome:
    """What became of the repositories of one run."""

    loaded: list[LoadCounts] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    retry_at: datetime | None = None

    def wait_for(self, error: RateLimitedError) -> None:
        if error.retry_at is not None:
            self.retry_at = min(error.retry_at, self.retry_at or error.retry_at)


def fetch_repositories(
    addresses: Sequence[str],
    settings: GithubScraperSettings,
    progress: Progress,
    *,
    reread: bool = False,
) -> Outcome:
    """Plan all repositories, then fetch them a few at a time."""
    outcome = Outcome()
    urls, outcome.failed = split_addresses(addresses)
    try:
        planned = plan(urls, settings, reread)
    except RateLimitedError as error:
        outcome.wait_for(error)
        outcome.notes.append(str(error))
        return outcome
    except TransientError as error:
        outcome.failed["planning"] = str(error)
        return outcome
    outcome.failed |= planned.failed
    outcome.notes += planned.notes
    total = len(planned.plans) + planned.unchanged
    pending: dict[str, PrefectFuture[LoadCounts]]
    with threads_that_stop(
        ThreadPoolTaskRunner[LoadCounts](max_workers=settings.concurrency)
    ) as runner:
        pending = {
            each.url: runner.submit(
                fetch_repository,
                {
                    "repository": repository_path_name(each.url),
                    "plan": each,
                    "settings": settings,
                },
            )
            for each in planned.plans
        }
        while pending:
            progress.update("load", total - len(pending), total, total_rows(outcome.loaded))
            done = wait(list(pending.values()), timeout=1).done
            for url in [url for url, future in pending.items() if future in done]:
                result: object = pending.pop(url).result(raise_on_failure=False)
                if isinstance(result, LoadCounts):
                    outcome.loaded.append(result)
                    outcome.notes += (f"{url}: {note}" for note in result.notes)
                elif isinstance(result, RateLimitedError):
                    outcome.wait_for(result)
                    outcome.notes.append(f"{url}: {result}")
                else:
                    outcome.failed[url] = str(result)
    progress.update("load", total, total, total_rows(outcome.loaded))
    try:
        merged = resolve(settings)
    except RateLimitedError as error:
        outcome.wait_for(error)
        merged = str(error)
    except PlatformError as error:
        outcome.failed["accounts of e-mails"] = str(error)
        merged = None
    if merged is not None:
        outcome.notes.append(merged)
    try:
        fill_leaderboard(settings)
    except PlatformError as error:
        outcome.failed["the application's leaderboard"] = str(error)
    return outcome


def load_and_build(
    addresses: Sequence[str],
    settings: GithubScraperSettings,
    dbt: DbtOptions,
    started: float,
    *,
    prepared: Prepared = Prepared(),
    reread: bool = False,
    build_here: bool = True,
) -> None:
    """Load, build, report; then fail, or make room until GitHub may be asked again."""
    progress = Progress(SLUG)
    outcome = fetch_repositories(addresses, settings, progress, reread=reread)
    outcome.notes += [
        *prepared.notes,
        *(f"{name}: {reason}" for name, reason in prepared.refused.items()),
    ]
    try:
        emit_landed(SLUG, table="commits", batch=str(flow_run.id), rows=total_rows(outcome.loaded))
    except EventsNotTakenError as error:
        outcome.notes.append(str(error))
    failures = tuple(f"{address}: {reason}" for address, reason in outcome.failed.items())
    built: DbtOutcome | None = None
    if build_here:
        publish_load(
            SLUG, total_rows(outcome.loaded), (*failures, *prepared.wrong_lines, *outcome.notes)
        )
        built = build_dbt(SLUG, dbt_postgres_env(building_block(settings)), dbt, progress=progress)
    size = report_size(settings)
    publish_summary(
        SLUG,
        RunSummary(
            rows_loaded=total_rows(outcome.loaded),
            models_built=built.models_built if built else 0,
            models_unchanged=built.models_unchanged if built else 0,
            tests_passed=built.tests_passed if built else 0,
            tests_unchanged=built.tests_unchanged if built else 0,
            warnings=(built.warnings if built else 0) + size.is_warning + len(prepared.wrong_lines),
            failures=(built.failures if built else 0) + len(outcome.failed),
            seconds=time.monotonic() - started,
            look=(EXAMPLE_QUERY,),
            notes=tuple(outcome.notes),
            troubles=(
                *failures,
                *prepared.wrong_lines,
                *(built.told if built else ()),
                *([str(size)] if size.is_warning else ()),
            ),
            answer=told_answer(SLUG, settings.database_block) if built else None,
        ),
    )
    if outcome.retry_at is not None:
        suspend_until(outcome.retry_at, "GitHub's rate limits")
        raise RateLimitedError(
            f"Loading {counted(len(addresses), 'repository', 'repositories')}",
            f"GitHub may be asked again at {outcome.retry_at:%Y-%m-%d %H:%M} UTC",
            "Run again then; a run of a deployment does so by itself",
            outcome.retry_at,
        )
    if outcome.failed:
        # Git tells several lines; a line each is what the summary makes a list of.
        listed = "\n".join(
            f"- {url}: {' '.join(reason.split())}" for url, reason in outcome.failed.items()
        )
        raise RepositoriesFailedError(
            f"Loading {counted(len(addresses), 'repository', 'repositories')}",
            f"{failed_of(len(outcome.failed), len(addresses))}:\n{listed}",
            "Mend or remove these and run again",
        )


@summarized(SLUG)
@flow(name="github-scraper", flow_run_name=RunName("github-scraper raw+marts, to {now}"))
def refresh(
    repositories: list[str] | None = None,
    settings: GithubScraperSettings = GithubScraperSettings(),
    dbt: DbtOptions = DbtOptions(),
    build_here: bool = True,
) -> None:
    """Load new commits of each repository and rebuild the commit analytics.

    Args:
        repositories: Clone addresses or absolute paths. Default: every repository loaded before.
        settings: Where to read from and write to, and what a repository may cost.
        dbt: Which models to build, and how.
        build_here: Build the marts beside the raw tables; not once they are built on BigQuery.
    """
    started = time.monotonic()
    prepared = prepare(settings.database_block)
    addresses = repositories or known_urls(settings)
    if not addresses and not prepared.set_aside:
        raise PermanentError(
            "Refreshing the GitHub scraper",
            "no repository was given and none was loaded before",
            "Give some in the parameter `repositories`",
        )
    load_and_build(addresses, settings, dbt, started, prepared=prepared, build_here=build_here)


@summarized(SLUG)
@flow(
    name="github-scraper-backfill",
    flow_run_name=RunName("github-scraper raw+marts, whole history to {now}"),
)
def backfill(
    repositories: list[str] | None = None,
    organizations: list[str] | None = None,
    file: Path | None = None,
    reread: bool = False,
    settings: GithubScraperSettings = GithubScraperSettings(),
    dbt: DbtOptions = DbtOptions(),
    build_here: bool = True,
) -> None:
    """Load the whole history of chosen repositories. Stopped at any point, it goes on from there.

    Args:
        repositories: Clone addresses or absolute paths.
        organizations: Organizations on GitHub all of whose repositories are loaded.
        file: A text file with an address a line.
        reread: Read all commits again, also of repositories that are loaded. Rows that are right
            stay untouched.
        settings: Where to read from and write to, and what a repository may cost.
        dbt: Which models to build, and how.
        build_here: Build the marts beside the raw tables; not once they are built on BigQuery.
    """
    started = time.monotonic()
    prepared = prepare(settings.database_block)
    addresses = list(repositories or ())
    addresses += list_repositories(organizations or (), file, settings)
    if not addresses:
        raise PermanentError(
            "Backfilling the GitHub scraper",
            "no repository was given",
            "Give some in `repositories`, `organizations` or `file`",
        )
    load_and_build(
        addresses, settings, dbt, started, prepared=prepared, reread=reread, build_here=build_here
    )
