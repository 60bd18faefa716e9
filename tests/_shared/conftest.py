from collections.abc import Iterator

import pytest

from tests._shared.shop import CREATE, Shop


@pytest.fixture
def shop(database: str, bigquery_emulator: str) -> Iterator[Shop]:
    name = database.rpartition("/")[2].partition("?")[0]
    made = Shop(database, bigquery_emulator, name)
    made.execute(CREATE)
    yield made
    made.client.delete_dataset(name, delete_contents=True)
