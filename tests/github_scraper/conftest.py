import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import locked
from flows.github_scraper import raw
from flows.github_scraper.records import LoadCounts
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.connect import GithubApi, Secrets, open_api
from flows.github_scraper.sync import (
    Plan,
    Planned,
    plan_repositories,
    resolve_accounts,
    sync_planned,
    sync_repository,
)
from tests.conftest import RUN
from tests.github_scraper.github_server import GithubServer
from tests.github_scraper.histories import History, import_sample

Sync = Callable[..., LoadCounts]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        yield connection


@pytest.fixture
def sync(connection: psycopg.Connection, tmp_path: Path) -> Sync:
    """Sync one repository into the test's database through a mirror of the test's own."""

    def sync(url: str | Path, **settings: object) -> LoadCounts:
        return sync_repository(
            connection,
            str(url),
            GithubScraperSettings.model_validate(settings),
            tmp_path / "mirrors",
        )

    return sync


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "origin.git")


@pytest.fixture(scope="session")
def sample_history(is_exhaustive: bool) -> History:
    """Commits with branches merged up to sixty days late: over 1,000, of an exhaustive run over
    5,000. All processes only read it."""
    path = RUN / "sample.git"
    commits = 5_600 if is_exhaustive else 1_200
    with locked(path.with_suffix(".lock")):
        return History(path) if path.exists() else import_sample(path, commits, seed=7)


@pytest.fixture
def github() -> Iterator[GithubServer]:
    with GithubServer().running() as server:
        yield server


@pytest.fixture(scope="session")
def small_history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Some 240 commits with merges. Read only."""
    return import_sample(tmp_path_factory.mktemp("sample") / "small.git", 300, seed=5)


@dataclass
class Api:
    """Syncs repositories of one server into the test's database, through its API."""

    connection: psycopg.Connection
    database: str
    server: GithubServer
    mirrors: Path

    def settings(self, path: str = "graphql", **api: object) -> GithubScraperSettings:
        return GithubScraperSettings.model_validate(
            {"api": {"host_url": self.server.url, "path": path, "timeout_seconds": 5, **api}}
        )

    def open(self, settings: GithubScraperSettings) -> GithubApi:
        tokens = tuple((f"block-{n}", each) for n, each in enumerate(self.server.tokens))
        return open_api(Secrets(tokens), settings.api, self.server.clock)

    def plan(self, *urls: str, path: str = "graphql", **api: object) -> Planned:
        settings = self.settings(path, **api)
        with self.open(settings).client(self.database, "plan") as client:
            return plan_repositories(
                self.connection, client, urls, settings, self.server.clock.now()
            )

    def sync(self, *urls: str, path: str = "graphql", **api: object) -> list[LoadCounts]:
        """Plan and sync, as a run does; without it, what the plan says of failures is raised."""
        settings = self.settings(path, **api)
        opened = self.open(settings)
        with opened.client(self.database, "plan") as client:
            planned = plan_repositories(
                self.connection, client, urls, settings, self.server.clock.now()
            )
        assert not planned.failed, planned.failed
        synced = []
        for plan in planned.plans:

            def by_git(plan: Plan = plan) -> LoadCounts:
                return sync_repository(self.connection, plan.url, settings, self.mirrors)

            with opened.client(self.database, plan.url) as client:
                synced.append(sync_planned(self.connection, plan, settings, client, by_git))
        return synced

    def resolve(self, path: str = "graphql") -> tuple[int, int]:
        settings = self.settings(path)
        with self.open(settings).client(self.database, "accounts") as client:
            return resolve_accounts(self.connection, client, settings, self.server.clock.now())


@pytest.fixture(scope="session")
def api_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """One database for all tests that go through the API; each finds its tables empty."""
    name = f"api_{uuid.uuid4().hex[:12]}"
    url = postgres.create_database(name)
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
    yield url
    postgres.drop_database(name)


@pytest.fixture
def api(api_database: str, github: GithubServer, tmp_path: Path) -> Iterator[Api]:
    with psycopg.connect(api_database, autocommit=True) as connection:
        connection.execute(
            "truncate public.repositories, public.contributors, github_api.budgets,"
            " github_api.requests, github_api.responses restart identity cascade"
        )
        yield Api(connection, api_database, github, tmp_path / "mirrors")
