"""The copy on BigQuery equals its source, whatever happened before."""

import psycopg
import pytest

from flows.ledgermind import source
from flows.ledgermind.raw.exported import ExportedDataset
from flows.ledgermind.records import EXPORTED, ExportMismatchError, SchemaChangedError
from tests.ledgermind.warehouses import Row, Warehouses

EVENTS = next(table for table in EXPORTED if table.name == "suggestion_events")
TRANSACTIONS = next(table for table in EXPORTED if table.name == "transactions")


def copied(warehouses: Warehouses, query: str) -> list[Row]:
    rows = warehouses.client().query(query.format(raw=warehouses.settings.raw_dataset)).result()
    return [tuple(row.values()) for row in rows]


def test_every_value_arrives_as_it_is_in_the_source(warehouses: Warehouses) -> None:
    warehouses.export()
    columns = "id, txn_id, model_id, features_hash, candidates, mode, created_at"
    there = copied(warehouses, f"select {columns} from {{raw}}.suggestion_events order by id")
    here = warehouses.query(
        "select id::text, txn_id, model_id, features_hash, candidates::text, mode, "
        "created_at at time zone 'UTC' from suggestion_events order by id::text collate \"C\""
    )
    assert len(here) == 912
    assert there == here


def test_a_second_export_sends_only_the_lookback_and_changes_nothing(
    warehouses: Warehouses,
) -> None:
    first = warehouses.export()
    before = copied(warehouses, "select * from {raw}.suggestion_feedback order by id")
    second = warehouses.export()

    assert first["suggestion_events"].rows == first["suggestion_events"].total == 912
    assert 0 < second["suggestion_events"].rows < 100
    assert second["suggestion_events"].total == 912
    assert copied(warehouses, "select * from {raw}.suggestion_feedback order by id") == before


def test_an_interrupted_export_goes_on_where_it_stopped_without_a_duplicate(
    warehouses: Warehouses,
) -> None:
    class CutOffError(Exception):
        pass

    def stop(rows: int) -> None:
        if rows >= 300:
            raise CutOffError

    dataset = ExportedDataset(warehouses.client(), warehouses.settings.raw_dataset, "US")
    with source.open_snapshot(warehouses.url) as connection:
        columns = source.read_columns(connection, EVENTS.name)
        dataset.ensure_table(EVENTS, columns)
        batches = source.fetch_batches(connection, EVENTS, columns, None, 100)
        with pytest.raises(CutOffError):
            dataset.merge(EVENTS, columns, batches, stop)
    assert dataset.count(EVENTS) == 300

    resumed = warehouses.export(rows_per_load=100)["suggestion_events"]

    assert resumed.rows < 700, "the resumed export began again from nothing"
    assert copied(
        warehouses, "select count(*), count(distinct id) from {raw}.suggestion_events"
    ) == [(912, 912)]


def test_deleted_old_dated_and_silently_changed_rows_are_found_by_the_checksum(
    warehouses: Warehouses,
) -> None:
    warehouses.export()
    warehouses.execute("delete from transactions where id = 5")
    warehouses.execute(
        "insert into suggestion_events values (gen_random_uuid(), 6, null, null, '[]', 'auto', "
        "timestamp '2025-10-06 01:00')"
    )
    warehouses.execute("update suggestion_events set mode = 'model' where txn_id = 1")
    counts = warehouses.export()

    expected = warehouses.query(
        "select mode, count(*) from suggestion_events group by 1 order by 1"
    )
    assert counts["transactions"].deleted == 1
    assert (
        copied(
            warehouses, "select mode, count(*) from {raw}.suggestion_events group by 1 order by 1"
        )
        == expected
    )


def test_a_new_nullable_column_passes_and_a_changed_type_stops_with_a_clear_error(
    warehouses: Warehouses,
) -> None:
    warehouses.export()
    warehouses.execute("alter table tenants add column plan text")
    warehouses.execute("update tenants set plan = 'pro' where id = 1")
    warehouses.export()
    assert copied(warehouses, "select id, plan from {raw}.tenants where plan is not null") == [
        (1, "pro")
    ]

    warehouses.execute("alter table transactions alter column amount type text")
    with pytest.raises(SchemaChangedError, match=r"transactions\.amount.*FLOAT.*STRING"):
        warehouses.export()


def test_private_columns_never_leave_the_operational_database(warehouses: Warehouses) -> None:
    warehouses.export()
    table = warehouses.client().get_table(f"{warehouses.settings.raw_dataset}.transactions")
    names = {field.name for field in table.schema}
    assert "merchant" in names
    assert not names & {"description", "note", "account"}


def test_a_copy_that_cannot_be_made_equal_is_an_error(warehouses: Warehouses) -> None:
    dataset = ExportedDataset(warehouses.client(), warehouses.settings.raw_dataset, "US")

    class Forgetful(ExportedDataset):
        def merge(self, *arguments: object, **options: object) -> int:
            return 0

    forgetful = Forgetful(warehouses.client(), warehouses.settings.raw_dataset, "US")
    with pytest.raises(ExportMismatchError, match="the source has 93 rows"):
        warehouses.export_one(forgetful, TRANSACTIONS, 100)
    assert dataset.count(TRANSACTIONS) == 0


def test_the_source_is_read_in_a_transaction_that_cannot_write(warehouses: Warehouses) -> None:
    with (
        source.open_snapshot(warehouses.url) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("delete from tenants")
