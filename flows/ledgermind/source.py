"""Reads LedgerMind's operational database, and never writes to it."""

import psycopg

from flows.ledgermind.records import OperationalDatabaseError

REQUIRED = ("suggestion_events", "suggestion_feedback", "transactions", "model_registry", "tenants")


def count_operational_rows(connection: psycopg.Connection) -> int:
    """Events and feedback rows that are there.

    Raises:
        OperationalDatabaseError: a table that the models read is missing.
    """
    missing = [
        table
        for table in REQUIRED
        if connection.execute("select to_regclass(%s)", [f"public.{table}"]).fetchone() == (None,)
    ]
    if missing:
        raise OperationalDatabaseError(
            "reading LedgerMind's operational database",
            f"schema public has no {', '.join(missing)}",
            "Point the block at LedgerMind's database, or set `sample_events` to try with a sample",
        )
    counted = connection.execute(
        "select (select count(*) from public.suggestion_events) "
        "+ (select count(*) from public.suggestion_feedback)"
    ).fetchone()
    assert counted is not None
    return int(counted[0])
