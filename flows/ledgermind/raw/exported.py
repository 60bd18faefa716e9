"""Which operational tables are copied to BigQuery, and how a row that changed is told."""

from collections.abc import Collection

import psycopg

from flows._shared.bigquery_export import CopiedTable, ExportSourceError
from flows.ledgermind.settings import PRIVATE_COLUMNS

TABLES = (
    CopiedTable("public", "suggestion_events", ("id",), "created_at", cluster_by=("txn_id",)),
    CopiedTable("public", "suggestion_feedback", ("id",), "created_at", cluster_by=("event_id",)),
    CopiedTable("public", "transactions", ("id",), "updated_at"),
    CopiedTable("public", "model_registry", ("id",)),
    CopiedTable("public", "tenants", ("id",)),
)
# LedgerMind has these once its models are trained on labels.
LATER_TABLES = (
    CopiedTable("public", "transaction_labels", ("txn_id",), "updated_at"),
    CopiedTable("public", "ml_features", ("txn_id",)),
    CopiedTable("public", "ml_training_runs", ("run_id",)),
)


def exported_tables(
    connection: psycopg.Connection, excluded: Collection[str]
) -> tuple[CopiedTable, ...]:
    """The tables of this operational database that are copied, without ``excluded`` columns.

    Raises:
        ExportSourceError: no table has a column that is to be excluded: the one that is meant has
            another name, and would leave.
    """
    there = [
        table
        for table in LATER_TABLES
        if connection.execute("select to_regclass(%s)", [str(table)]).fetchone() != (None,)
    ]
    tables = (*TABLES, *there)
    _refuse_unknown({*excluded} - {*PRIVATE_COLUMNS}, tables, connection)
    return tuple(
        CopiedTable(t.schema, t.name, t.key, t.change, tuple(excluded), t.cluster_by)
        for t in tables
    )


def _refuse_unknown(
    named: Collection[str], tables: Collection[CopiedTable], connection: psycopg.Connection
) -> None:
    found = connection.execute(
        "select lower(attname) from pg_attribute where attrelid = any(%s::regclass[]) "
        "and attnum > 0 and not attisdropped",
        [[str(table) for table in tables]],
    )
    there = {name for (name,) in found}
    if unknown := sorted(each for each in named if each.lower() not in there):
        raise ExportSourceError(
            "exporting LedgerMind's tables to BigQuery",
            f"none of them has a column {', '.join(unknown)}, which the setting excludes",
            "Correct it in settings.bigquery.excluded_columns, or write the name that it has now; "
            "take it out if it was dropped",
        )
