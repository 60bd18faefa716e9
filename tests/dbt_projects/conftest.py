from collections.abc import Iterator

import pytest

from deployments.local.postgres import EmbeddedPostgres
from tests.dbt_projects.warehouse import Warehouse, install_packages


@pytest.fixture(scope="module")
def quality_compass(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    """A database of one name for every file, since dbt parses a project anew for another."""
    state = tmp_path_factory.mktemp("dbt")
    install_packages("quality_compass", state)
    database = "quality_compass_marts"
    yield Warehouse("quality_compass", postgres.create_database(database), state)
    postgres.drop_database(database)
