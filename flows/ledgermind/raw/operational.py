"""Writes the sample operational database; one that is there already is never touched."""

from collections.abc import Iterable
from pathlib import Path

import psycopg
from psycopg import sql

from flows.ledgermind.records import FeedbackShape, OperationalDatabaseError, Sample
from flows.ledgermind.rules import feedback_row

FOLDER = Path(__file__).parent


def has_operational_tables(connection: psycopg.Connection) -> bool:
    """Whether LedgerMind's event table is in schema ``public``."""
    found = connection.execute("select to_regclass('public.suggestion_events')").fetchone()
    return bool(found and found[0])


def create_operational_database(
    connection: psycopg.Connection, sample: Sample, shape: FeedbackShape = FeedbackShape.V2
) -> int:
    """Create LedgerMind's tables and fill them, in one transaction. Returns the rows written.

    Raises:
        OperationalDatabaseError: the tables are there already.
    """
    if has_operational_tables(connection):
        raise OperationalDatabaseError(
            "creating a sample operational database",
            "public.suggestion_events is there already",
            "Run without a sample: the tables that are there are read, never written",
        )
    with connection.transaction():
        _run(connection, "operational.sql")
        _run(connection, f"feedback_{shape.value}.sql")
        rows = write_rows(connection, sample, shape)
        _run(connection, "operational_indexes.sql")
    return rows


def write_rows(connection: psycopg.Connection, sample: Sample, shape: FeedbackShape) -> int:
    """Append a sample's rows to the operational tables. Returns how many."""
    written = _copy(
        connection,
        "tenants",
        "id, name, created_at, suggest_canary_pct",
        ((t.id, t.name, t.created_at, t.suggest_canary_pct) for t in sample.tenants),
    )
    written += _copy(
        connection,
        "model_registry",
        "id, model_id, created_at, phase",
        ((m.id, m.model_id, m.created_at, m.phase) for m in sample.models),
    )
    written += _copy(
        connection,
        "transactions",
        "id, user_id, tenant_id, date, merchant, amount, category, month, "
        "created_at, updated_at, deleted_at",
        (
            (
                *(t.id, t.user_id, t.tenant_id, t.date, t.merchant, t.amount, t.category),
                *(f"{t.date:%Y-%m}", t.updated_at, t.updated_at, t.deleted_at),
            )
            for t in sample.transactions
        ),
    )
    written += _copy(
        connection,
        "transaction_labels",
        "txn_id, label, source, created_at, updated_at",
        ((x.txn_id, x.label, x.source, x.created_at, x.updated_at) for x in sample.labels),
    )
    written += _copy(
        connection,
        "ml_features",
        "txn_id, ts_month, amount, abs_amount, merchant, mcc, channel, hour_of_day, dow, "
        "is_weekend, is_subscription, norm_desc, tokens",
        (
            (
                *(f.txn_id, f.ts_month, f.amount, abs(f.amount), f.merchant, f.mcc, f.channel),
                *(f.hour_of_day, f.dow, f.dow >= 5, f.is_subscription),
                *((f.merchant or "").lower(), (f.merchant or "").lower().split()),
            )
            for f in sample.features
        ),
    )
    written += _copy(
        connection,
        "suggestion_events",
        "id, txn_id, model_id, features_hash, candidates, mode, created_at",
        (
            (e.id, e.txn_id, e.model_id, e.features_hash, e.candidates, e.mode, e.created_at)
            for e in sample.events
        ),
    )
    columns = "id, event_id, action, reason, user_ts, created_at"
    if shape is FeedbackShape.V2:
        columns = "id, event_id, txn_id, action, label, confidence, user_id, reason, created_at"
    rows = (feedback_row(feedback, shape) for feedback in sample.feedback)
    return written + _copy(connection, "suggestion_feedback", columns, rows)


def _copy(
    connection: psycopg.Connection, table: str, columns: str, rows: Iterable[tuple[object, ...]]
) -> int:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns.split(", "))
    command = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier("public", table), names)
    written = 0
    with connection.cursor().copy(command) as copy:
        for row in rows:
            copy.write_row(row)
            written += 1
    return written


def _run(connection: psycopg.Connection, script: str) -> None:
    connection.execute((FOLDER / script).read_bytes())
