"""The copy on BigQuery equals LedgerMind's operational tables, less what is private."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.ledgermind.raw import operational
from flows.ledgermind.records import FeedbackShape
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.dbt_projects.warehouse import Row
from tests.ledgermind.warehouses import Warehouses


@pytest.fixture(scope="module")
def exported(postgres: EmbeddedPostgres, bigquery_emulator: str) -> Iterator[Warehouses]:
    """A small operational database in the second shape, and its copy."""
    settings = LedgermindBigQuerySettings(raw_dataset="exported_raw")
    url = postgres.create_database("ledgermind_exported")
    with psycopg.connect(url, autocommit=True) as connection:
        operational.create_operational_database(connection, sample(900, seed=2), FeedbackShape.V2)
    made = Warehouses(url, bigquery_emulator, settings, Path())
    made.export()
    yield made
    made.client().delete_dataset(settings.raw_dataset, delete_contents=True)
    postgres.drop_database("ledgermind_exported")


def copied(exported: Warehouses, query: str) -> list[Row]:
    rows = exported.client().query(query.format(raw=exported.settings.raw_dataset)).result()
    return [tuple(row.values()) for row in rows]


def test_every_value_arrives_as_it_is_in_the_source(exported: Warehouses) -> None:
    columns = "id, txn_id, model_id, features_hash, candidates, mode, created_at"
    there = copied(exported, f"select {columns} from {{raw}}.suggestion_events order by id")
    here = exported.query(
        "select id::text, txn_id, model_id, features_hash, candidates::text, mode, "
        "created_at at time zone 'UTC' from suggestion_events order by id::text collate \"C\""
    )
    assert len(here) == 912
    assert there == here


def test_private_columns_never_leave_the_operational_database(exported: Warehouses) -> None:
    table = exported.client().get_table(f"{exported.settings.raw_dataset}.transactions")
    names = {field.name for field in table.schema}
    assert "merchant" in names
    assert not names & {"description", "note", "account"}
    features = exported.client().get_table(f"{exported.settings.raw_dataset}.ml_features")
    assert not {field.name for field in features.schema} & {"norm_desc", "tokens"}
