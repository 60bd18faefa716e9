"""The real parts that tests share: one PostgreSQL and one Prefect server for a whole session.

Prefect reads its settings when it is imported. They are therefore set here, before any test
module is, and point at the address where ``prefect_server`` starts the server once a test asks.
"""

import atexit
import gc
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbt_common.tests import enable_test_caching

from deployments.local.bigquery import BigQueryEmulator
from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import locked
from deployments.local.server import PrefectServer, api_url, own_client_environment
from tests.certificates import CERTIFICATES_VARIABLE, one_certificate
from tests.databases import TESTS, database_of
from tests.lasting_blocks import LastingBlocks, end_automations
from tests.ports import own_ports
from tests.server_database import copy_server_database

# What helpers assert is told as what tests assert is.
pytest.register_assert_rewrite(
    *({f"tests.{path.stem}" for path in TESTS.iterdir()} - sys.modules.keys())
)

# All are below those that Linux gives to clients, one of which would keep a server that was stopped
# from coming back.
FIRST_SERVER_PORT = 24_200
FIRST_POSTGRES_PORT = 25_320
FIRST_BIGQUERY_PORT = 29_050
PORTS_OF_BIGQUERY = 4

# About half a minute or more each, longest first. A file runs in one process: one of these that
# starts last leaves the others of a session without work for as long.
LONGEST_FILES = (
    "deployments/kubernetes/test_worker.py",
    "dbt_projects/test_ledgermind.py",
    "github_scraper/test_migration.py",
    "dbt_projects/test_agent_analytics.py",
    "scout/test_flow.py",
    "dbt_projects/test_quality_compass.py",
    "quality_compass/test_flow.py",
    "github_scraper/test_flow.py",
    "deployments/test_runtime.py",
    "_shared/test_dbt_plan.py",
    "webhooks/test_hostile.py",
    "deployments/kubernetes/test_image.py",
    "github_scraper/test_git_path.py",
    "ledgermind/test_chain.py",
    "ledgermind/test_flow.py",
    "quality_compass/test_load.py",
    "deployments/prefork/test_worker.py",
    "ledgermind/test_commands.py",
    "webhooks/test_event_to_run.py",
    "agent_analytics/test_flow.py",
    "_shared/test_bigquery_export.py",
    "github_scraper/test_exact_sync.py",
    "report/test_site.py",
    "github_scraper/test_api_paths.py",
    "dbt_projects/test_github_scraper.py",
    "_shared/test_cancellation.py",
    "_shared/test_brake.py",
    "webhooks/test_crashes.py",
    "dbt_projects/test_github_scraper_changes.py",
    "_shared/test_dbt_events.py",
    "deployments/test_automations.py",
    "people/test_flow.py",
    "deployments/test_run.py",
    "agent_analytics/test_recovery.py",
    "_shared/test_dbt_build.py",
)

ANY_SEED = "any"
# In which part of a random order the long files begin.
LONG_BEGIN = 0.6
# Of what Hypothesis makes up, where a test does not say how many; 100 otherwise.
EXHAUSTIVE_EXAMPLES = 400
RUN_VARIABLE = "ANALYTICS_FLOWS_TESTS_RUN"

gc.set_threshold(50_000, 10, 10)
# dbt reads its own macros anew for every project: here it keeps what it read.
enable_test_caching()

# What the processes of one run share. The first of them makes it; the others inherit its name.
IS_FIRST = RUN_VARIABLE not in os.environ
if IS_FIRST:
    os.environ[RUN_VARIABLE] = tempfile.mkdtemp(prefix="analytics-flows-tests-")
RUN = Path(os.environ[RUN_VARIABLE])
STATE = Path(tempfile.mkdtemp(prefix="process-", dir=RUN))
PATHS = LocalPaths(STATE)
SERVER_PORT = next(own_ports(FIRST_SERVER_PORT))
# A client of Prefect reads all certificates there are for a server that has none: 40 ms each time.
FEW_CERTIFICATES = RUN / "certificates.pem"
if IS_FIRST:
    FEW_CERTIFICATES.write_text(one_certificate())

for name in [name for name in os.environ if name.startswith("PREFECT_")]:
    del os.environ[name]
os.environ.update(own_client_environment(PATHS, api_url(SERVER_PORT)))
os.environ[CERTIFICATES_VARIABLE] = str(FEW_CERTIFICATES)
os.environ["ANALYTICS_FLOWS_STATE_DIR"] = str(PATHS.cache)
os.environ["ANALYTICS_FLOWS_DBT_PARSED_DIR"] = str(RUN / "parsed")


@atexit.register
def _stop_and_remove() -> None:
    """Registered before Prefect is imported, so run after Prefect has sent its last log lines."""
    PrefectServer(PATHS).stop()
    shutil.rmtree(RUN if IS_FIRST else STATE, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive", action="store_true", help="run the exhaustive checks, too: minutes more"
    )
    parser.addoption(
        "--shuffle",
        nargs="?",
        const=ANY_SEED,
        metavar="SEED",
        help="run files, and the tests of each, in an order drawn from this seed, or from any",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.shuffle == ANY_SEED:
        config.option.shuffle = RUN.name.rpartition("-")[2]
    from hypothesis import HealthCheck, settings

    # How slowly examples are drawn says how busy the machine is.
    any_machine = [HealthCheck.too_slow]
    # New examples find faults that the change under test did not make: the nightly job draws those.
    settings.register_profile("same", derandomize=True, suppress_health_check=any_machine)
    settings.register_profile(
        "exhaustive", max_examples=EXHAUSTIVE_EXAMPLES, suppress_health_check=any_machine
    )
    settings.load_profile("exhaustive" if config.option.exhaustive else "same")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.option.shuffle
    return f"in the order of: --shuffle={seed}" if seed else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.exhaustive:
        left_out = [item for item in items if item.get_closest_marker("exhaustive")]
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=left_out)
    if config.option.shuffle:
        shuffle(items, config.option.shuffle)
    else:
        ranks = {TESTS / file: rank for rank, file in enumerate(LONGEST_FILES)}
        items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


def shuffle(items: list[pytest.Item], seed: str) -> None:
    """Draw an order of files, and one of the tests of each that do not tell one story in order."""
    order = random.Random(seed)
    long = {TESTS / file for file in LONGEST_FILES}
    # At the end all would wait for a long one that began last.
    files = {item.path: order.uniform(0, LONG_BEGIN if item.path in long else 1) for item in items}
    places = {
        item: (files[item.path], 0 if item.get_closest_marker("in_order") else order.random())
        for item in items
    }
    items.sort(key=lambda item: places[item])


def pytest_collection_finish() -> None:
    # All that was imported stays: no collection looks through it again.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    # pytest looks through everything five times before it ends, seconds each, and tells nothing.
    gc.freeze()


@pytest.fixture(scope="session")
def is_exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether a check of many cases checks all of them."""
    return bool(request.config.getoption("exhaustive"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL for the session. Its data may be lost in a power cut, which makes it quick."""
    port = next(own_ports(FIRST_POSTGRES_PORT))
    cluster = EmbeddedPostgres(PATHS.postgres, first_port=port, is_durable=False)
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
    # Tests wait for what an idle server looks for seldom.
    server = PrefectServer(local_paths, first_port=SERVER_PORT, looks_seldom=False)
    migrated = RUN / "migrated.db"
    with locked(RUN / "migrated.lock"):
        if migrated.exists():
            copy_server_database(migrated, local_paths.server_database)
        else:
            server.start()
            copy_server_database(local_paths.server_database, migrated)
    assert server.start() == api_url(SERVER_PORT), "another program took the port: try again"
    return api_url(SERVER_PORT)


@pytest.fixture(scope="session")
def lasting_blocks(server_of_session: str) -> LastingBlocks:
    """The blocks of what outlives a module."""
    return LastingBlocks(set())


@pytest.fixture(scope="module")
def prefect_server(
    server_of_session: str, lasting_blocks: LastingBlocks, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The API address of a Prefect server for the session; flows run in tests use it.

    A block ends with the module that saved it, as do the databases that blocks name: flows of
    another module would read it by its default name. So does an automation, which would act on
    another module's runs. Flows of a domain begin with its dbt project parsed.
    """
    from tests.parsed import prepare_flows_of

    prepare_flows_of(request.path.parent.name)
    kept = lasting_blocks.present()
    yield server_of_session
    lasting_blocks.end_all_but(kept)
    end_automations()


@pytest.fixture(scope="session")
def bigquery_emulator(local_paths: LocalPaths) -> Iterator[str]:
    """The address of a BigQuery emulator for the session."""
    port = next(own_ports(FIRST_BIGQUERY_PORT, PORTS_OF_BIGQUERY))
    emulator = BigQueryEmulator(local_paths, first_port=port)
    yield emulator.start()
    emulator.stop()
