"""Which operational tables are copied to BigQuery, and how a row that changed is told."""

from collections.abc import Collection

import psycopg

from flows._shared.bigquery_export import CopiedTable

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
    """The tables of this operational database that are copied, without ``excluded`` columns."""
    there = [
        table
        for table in LATER_TABLES
        if connection.execute("select to_regclass(%s)", [str(table)]).fetchone() != (None,)
    ]
    return tuple(
        CopiedTable(t.schema, t.name, t.key, t.change, tuple(excluded), t.cluster_by)
        for t in (*TABLES, *there)
    )
