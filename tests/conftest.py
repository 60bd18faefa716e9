"""The real parts that tests share: one PostgreSQL and one Prefect server for a whole session.

Prefect reads its settings when it is imported. They are therefore set here, before any test
module is, and point at the address where ``prefect_server`` starts the server once a test asks.
"""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.bigquery import BigQueryEmulator
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import free_ports
from deployments.local.server import PrefectServer, api_url, client_environment
from tests.databases import TESTS, database_of

# Sessions that run side by side begin their search at different ports. All are below those that
# Linux gives to clients, one of which would keep a server that was stopped from coming back.
FIRST_SERVER_PORT = 24200 + os.getpid() % 1000
FIRST_POSTGRES_PORT = 25320
FIRST_BIGQUERY_PORT = 29050 + os.getpid() % 1000

# About a minute or more each, longest first. A file runs in one process: one of these that starts
# last leaves the others of a session without work for as long.
LONGEST_FILES = (
    "dbt_projects/test_ledgermind.py",
    "github_scraper/test_migration.py",
    "dbt_projects/test_agent_analytics.py",
    "scout/test_flow.py",
    "quality_compass/test_flow.py",
    "dbt_projects/test_quality_compass.py",
    "agent_analytics/test_flow.py",
    "deployments/kubernetes/test_worker.py",
    "dbt_projects/test_github_scraper.py",
    "github_scraper/test_flow.py",
    "agent_analytics/test_recovery.py",
    "webhooks/test_crashes.py",
    "ledgermind/test_flow.py",
    "deployments/test_server.py",
    "_shared/test_dbt_build.py",
    "webhooks/test_event_to_run.py",
)

# Every module under test stays: collections look through all of them again and again.
gc.set_threshold(50_000, 10, 10)

STATE = Path(tempfile.mkdtemp(prefix="analytics-flows-tests-"))
PATHS = LocalPaths(STATE)
SERVER_PORT = next(free_ports(FIRST_SERVER_PORT))

for name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[name]
os.environ.update(client_environment(PATHS, api_url(SERVER_PORT)))
os.environ["ANALYTICS_FLOWS_STATE_DIR"] = str(PATHS.cache)


@atexit.register
def _stop_and_remove() -> None:
    """Registered before Prefect is imported, so run after Prefect has sent its last log lines."""
    PrefectServer(PATHS).stop()
    shutil.rmtree(STATE, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {TESTS / file: rank for rank, file in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for the session. Its data may be lost in a power cut, which makes it quick."""
    cluster = EmbeddedPostgres(PATHS.postgres, first_port=FIRST_POSTGRES_PORT, is_durable=False)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def database(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[str]:
    """The libpq URL of an empty database, dropped after the test."""
    name = database_of(request.path)
    postgres.drop_database(name)
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def local_paths() -> LocalPaths:
    """The folders in which the session's server keeps its record, log and database."""
    return PATHS


@pytest.fixture(scope="session")
def server_of_session(local_paths: LocalPaths) -> str:
    server = PrefectServer(local_paths, first_port=SERVER_PORT)
    url = server.start()
    assert url == api_url(SERVER_PORT), "another program took the port a moment ago: try again"
    return url


@pytest.fixture(scope="module")
def prefect_server(server_of_session: str) -> Iterator[str]:
    """The API address of a Prefect server for the session; flows run in tests use it.

    A block ends with the module that saved it, as do the databases that blocks name: flows of
    another module would read it by its default name.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        kept = {block.id for block in client.read_block_documents()}
        yield server_of_session
        for block in client.read_block_documents():
            if block.id not in kept:
                client.delete_block_document(block.id)


@pytest.fixture(scope="session")
def bigquery_emulator(local_paths: LocalPaths) -> Iterator[str]:
    """The address of a BigQuery emulator for the session."""
    emulator = BigQueryEmulator(local_paths, first_port=FIRST_BIGQUERY_PORT)
    yield emulator.start()
    emulator.stop()
