from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from flows.github_scraper import raw
from flows.github_scraper.flow import sync_repository
from flows.github_scraper.records import LoadCounts
from flows.github_scraper.settings import GithubScraperSettings
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
def sample_history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Over 5,000 commits with branches merged up to sixty days late. Read only."""
    return import_sample(tmp_path_factory.mktemp("sample") / "sample.git", 5_600, seed=7)
