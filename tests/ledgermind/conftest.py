from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import BigQuerySettings
from tests.ledgermind.warehouses import Warehouses


@pytest.fixture
def warehouses(database: str, bigquery_emulator: str, tmp_path: Path) -> Iterator[Warehouses]:
    """A small operational database in the second shape, and datasets of the test's own."""
    name = database.rpartition("/")[2].partition("?")[0]
    settings = BigQuerySettings(dataset=f"{name}_marts", raw_dataset=f"{name}_raw")
    made = Warehouses(database, bigquery_emulator, settings, tmp_path)
    with psycopg.connect(database, autocommit=True) as connection:
        operational.create_operational_database(connection, sample(900, seed=2), FeedbackShape.V2)
    yield made
    for dataset in (settings.dataset, settings.raw_dataset):
        made.client().delete_dataset(dataset, delete_contents=True, not_found_ok=True)
