"""The copy on BigQuery equals LedgerMind's operational tables, less what is private."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows._shared.bigquery_export import ExportSourceError
from flows.ledgermind.raw import operational
from flows.ledgermind.raw.exported import exported_tables
from flows.ledgermind.records import FeedbackShape
from flows.ledgermind.sample import sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from tests.contracts import typed_by_owners
from tests.databases import everything_of
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


def test_a_private_column_that_no_table_has_stops_the_export(exported: Warehouses) -> None:
    with psycopg.connect(exported.url) as connection:
        with pytest.raises(ExportSourceError, match="has a column reson, which"):
            exported_tables(connection, ("description", "Merchant", "reson", "reason"))
        assert exported_tables(connection, ("description", "tokens", "reason"))


def test_whom_the_owner_of_the_database_purges_is_in_no_copy(exported: Warehouses) -> None:
    """The last of this file: the rows are others afterwards."""
    exported.execute(
        "update transactions set user_id = 17, description = 'to Jane Doe' where id <= 3;"
        "update ml_features set norm_desc = 'jane doe', tokens = array['jane', 'doe']"
        " where txn_id in (select id from transactions where user_id = 17);"
        "update suggestion_feedback set user_id = '17', reason = 'as Jane Doe said'"
        " where id in (select id from suggestion_feedback order by id limit 2)"
    )
    ((theirs,),) = exported.query("select count(*) from transactions where user_id = 17")
    exported.execute(typed_by_owners("public.transactions"))
    exported.export()
    with psycopg.connect(exported.url) as connection:
        tables = everything_of(connection)
    assert [name for name, rows in tables.items() if "jane" in "".join(rows).lower()] == []
    numbers = "select user_id, count(*) from {raw}.transactions where abs(user_id) = 17 group by 1"
    assert copied(exported, numbers) == [(-17, theirs)]
    said = "select reason, count(*) from {raw}.suggestion_feedback where user_id = 'purged-17'"
    assert copied(exported, f"{said} group by 1") == [(None, 2)]
