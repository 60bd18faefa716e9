"""The tasks of a load: each step with its own retries and its own credentials."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from prefect import Task, get_run_logger, task
from prefect.client.schemas.objects import State, TaskRun

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.input_files import open_input
from flows._shared.orchestration.credentials import postgres_url, secret_value
from flows._shared.orchestration.database import connect as open_database
from flows._shared.orchestration.flow_run import current_flow_run
from flows._shared.orchestration.retry import retry_transient
from flows._shared.state import state_dir
from flows.github_scraper import raw
from flows.github_scraper.records import (
    ApiConfigurationError,
    KnownRepository,
    LoadCounts,
    RateLimitedError,
    SizeOutlook,
    Walk,
)
from flows.github_scraper.rules import outlook
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.connect import GithubApi, Secrets, open_api, why_not_used
from flows.github_scraper.source.planning import fetch_organization
from flows.github_scraper.sync import (
    Plan,
    Planned,
    is_on,
    plan_repositories,
    resolve_accounts,
    sync_planned,
    sync_repository,
)

GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Prepared:
    """What was found in the database: what was put in order, which repositories of the
    application's list cannot be loaded, how many were taken out of the schedule, and what of the
    lists that people keep is wrong."""

    notes: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    set_aside: int = 0
    wrong_lines: tuple[str, ...] = ()


def retry_soon(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Transient errors but rate limits: for those the whole run waits, without a worker."""
    result: object = state.result(raise_on_failure=False)
    return not isinstance(result, RateLimitedError) and retry_transient(task, task_run, state)


def read_secrets(settings: GithubScraperSettings) -> Secrets:
    """The tokens of the blocks that the settings name, for the task that spends them."""
    names = dict.fromkeys([settings.token_block, *settings.api.token_blocks])
    tokens = tuple((name, secret_value(name)) for name in names if name is not None)
    app = settings.api.app_block
    return Secrets(tokens, (app, secret_value(app)) if app is not None else None)


def connect(settings: GithubScraperSettings) -> GithubApi | None:
    """The API with every token tried; None where repositories come by git alone.

    Raises:
        ApiConfigurationError: the API is asked for, and there is no token.
        TokenRejectedError: GitHub rejected every token.
    """
    secrets = read_secrets(settings)
    if not secrets and settings.api.path in ("auto", "git"):
        return None
    return open_api(secrets, settings.api)


@task(
    name="prepare raw tables",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_soon,
)
def prepare(database_block: str) -> Prepared:
    with open_database(database_block) as connection:
        raw.ensure_schema(connection)
        notes = raw.tidy_addresses(connection)
        refused = raw.adopt_repositories(connection)
        set_aside, wrong = raw.count_set_aside(connection), raw.wrong_lines(connection)
        return Prepared(tuple(notes), refused, set_aside, tuple(wrong))


@task(name="list known repositories")
def known_urls(settings: GithubScraperSettings) -> list[str]:
    with open_database(settings.database_block) as connection:
        return raw.known_urls(connection)


@task(
    name="list repositories",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_soon,
)
def list_repositories(
    organizations: Sequence[str], file: Path | None, settings: GithubScraperSettings
) -> list[str]:
    """The addresses in a file (one a line, ``#`` begins a comment) and those of organizations."""
    addresses = read_list(file) if file is not None else []
    if not organizations:
        return addresses
    api = connect(settings)
    if api is None:
        raise ApiConfigurationError(
            "Listing the repositories of organizations",
            "there is no token, and only the API knows what an organization has",
            "Name a Secret block with a token in `token_block` or `api.token_blocks`",
        )
    with api.client(postgres_url(settings.database_block), "organizations") as client:
        for organization in organizations:
            addresses += fetch_organization(client, organization, settings.api.host_url)
    return addresses


def read_list(file: Path) -> list[str]:
    """Raises ApiConfigurationError where the file cannot be read."""
    try:
        with open_input(file) as source:
            lines = source.read().decode().lstrip("\ufeff").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ApiConfigurationError(
            f"Reading the list of repositories {file}",
            f"{type(error).__name__}: {error.args[-1]}",
            "Give a text file that the worker can read in the parameter `file`",
        ) from None
    stripped = (re.split(r"[ \t]#", line, maxsplit=1)[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


@task(
    name="plan repositories",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_soon,
)
def plan(urls: Sequence[str], settings: GithubScraperSettings, reread: bool) -> Planned:
    """Which of the repositories have something new, and how each is read."""
    planned = Planned()
    with open_database(settings.database_block) as connection:
        aside = raw.set_aside(connection, urls)
        planned.notes += [
            *aside.values(),
            *raw.left_failing(connection, raw.known_urls(connection), urls),
        ]
    urls = [url for url in urls if url not in aside]
    api = connect(settings)
    on_github = [url for url in urls if api is not None and is_on(settings.api.host_url, url)]
    by_git = [url for url in urls if url not in set(on_github)]
    database_url = postgres_url(settings.database_block)
    if on_github and api is not None:
        if api.rejected:
            planned.notes.append(
                f"Not used is {why_not_used(api.rejected)}. Put a valid one into that block, or "
                "take it out of `api.token_blocks`"
            )
        with (
            open_database(settings.database_block) as connection,
            api.client(database_url, "plan") as client,
        ):
            found = plan_repositories(
                connection, client, on_github, settings, datetime.now(UTC), reread=reread
            )
        planned.unchanged = found.unchanged
        planned.plans += found.plans
        planned.failed |= found.failed
        planned.notes += found.notes
    planned.plans += [
        Plan(KnownRepository(0, url, None, None, None), reread=reread) for url in by_git
    ]
    return planned


@task(
    task_run_name="fetch-{repository}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_soon,
)
def fetch_repository(repository: str, plan: Plan, settings: GithubScraperSettings) -> LoadCounts:
    """One repository into the raw tables. ``repository`` is its short name."""
    logger = get_run_logger()
    cache_dir = settings.cache_dir or state_dir() / "git"
    database_url = postgres_url(settings.database_block)
    started = time.monotonic()
    with open_database(settings.database_block) as connection:

        def by_git(token: str | None) -> LoadCounts:
            return sync_repository(
                connection, plan.url, settings, cache_dir, token, reread=plan.reread
            )

        try:
            if plan.facts is None:
                block = settings.token_block
                counts = by_git(secret_value(block) if block is not None else None)
            else:
                counts = fetch_planned(connection, database_url, plan, settings, by_git)
        except PlatformError as error:
            raw.register_repository(connection, plan.url)
            raw.record_failure(
                connection, plan.url, str(error), is_permanent=isinstance(error, PermanentError)
            )
            raise
    logger.info(
        "%s: %s commits written, %s orphaned (%s, %s) in %.1f s",
        repository,
        counts.commits_written,
        counts.commits_orphaned,
        counts.walk.value,
        counts.source.value if counts.walk is not Walk.NOTHING else "nothing new",
        time.monotonic() - started,
    )
    return counts


def fetch_planned(
    connection: psycopg.Connection,
    database_url: str,
    plan: Plan,
    settings: GithubScraperSettings,
    by_git: Callable[[str | None], LoadCounts],
) -> LoadCounts:
    """One repository that GitHub has shown, with the token that it sticks to."""
    api = open_api(read_secrets(settings), settings.api)
    assert plan.facts is not None
    key = plan.facts.node_id
    with api.client(database_url, key) as client:
        return sync_planned(connection, plan, settings, client, lambda: by_git(api.git_token(key)))


@task(
    name="resolve accounts",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=retry_soon,
)
def resolve(settings: GithubScraperSettings) -> str | None:
    """Whose e-mails these are, and which identities are one person: numbers in addresses tell it
    without the API, too. Returns a line for the summary where something was merged, or listed in
    vain."""
    api, notes = connect(settings), list[str]()
    if api is None:
        with open_database(settings.database_block) as connection:
            raw.merge_accounts(connection, notes.append)
        return "; ".join(notes) or None
    database_url = postgres_url(settings.database_block)
    with (
        open_database(settings.database_block) as connection,
        api.client(database_url, "accounts") as client,
    ):
        looked_up, _ = resolve_accounts(
            connection, client, settings, datetime.now(UTC), notes.append
        )
    if looked_up:
        notes.insert(0, f"{looked_up} e-mails looked up")
    return "; ".join(notes) or None


@task(
    name="report the size of the database",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def report_size(settings: GithubScraperSettings) -> SizeOutlook:
    """The bytes of every table as an artifact, and when they reach the limit, as a log line."""
    today = datetime.now(UTC).date()
    with open_database(settings.database_block) as connection:
        tables = raw.measure_tables(connection)
        raw.remember_size(connection, today, sum(table.bytes for table in tables))
        since = today - timedelta(days=settings.size.growth_days)
        sizes = raw.remembered_sizes(connection, since)
    limit = round(settings.size.limit_gigabytes * GIGABYTE)
    found = outlook(sizes, limit, settings.size.warn_at)
    log = get_run_logger()
    (log.warning if found.is_warning else log.info)("%s", found)
    if api := current_flow_run():
        rows = [vars(table) for table in tables]
        api.create_table("github-scraper-size", rows, str(found))
    return found


@task(
    name="fill the application's leaderboard",
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=retry_transient,
)
def fill_leaderboard(settings: GithubScraperSettings) -> None:
    """Where the application has tables of its own they show what is loaded here."""
    with open_database(settings.database_block) as connection:
        raw.fill_leaderboard(connection)
