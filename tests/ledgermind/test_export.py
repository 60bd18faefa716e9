"""The copy on BigQuery equals LedgerMind's operational tables, less what is private."""

from tests.dbt_projects.warehouse import Row
from tests.ledgermind.warehouses import Warehouses


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


def test_private_columns_never_leave_the_operational_database(warehouses: Warehouses) -> None:
    warehouses.export()
    table = warehouses.client().get_table(f"{warehouses.settings.raw_dataset}.transactions")
    names = {field.name for field in table.schema}
    assert "merchant" in names
    assert not names & {"description", "note", "account"}
    features = warehouses.client().get_table(f"{warehouses.settings.raw_dataset}.ml_features")
    assert not {field.name for field in features.schema} & {"norm_desc", "tokens"}
