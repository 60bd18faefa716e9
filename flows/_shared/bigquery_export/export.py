"""One table brought up to its source, and compared with it."""

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta

import psycopg
from psycopg import sql

from flows._shared.bigquery_export.checksums import (
    count_rows,
    differing_buckets,
    source_fingerprint,
)
from flows._shared.bigquery_export.columns import read_columns, unplaced_columns
from flows._shared.bigquery_export.dataset import CopyDataset
from flows._shared.bigquery_export.errors import (
    ExportMismatchError,
    ExportRunningError,
    told_as_ours,
)
from flows._shared.bigquery_export.forms import (
    first_keys,
    has_key,
    nulled_keys,
    nulled_values,
)
from flows._shared.bigquery_export.memory import SourceColumns
from flows._shared.bigquery_export.records import Comparison, CopiedTable, ExportCounts
from flows._shared.bigquery_export.source import changed_since, in_buckets
from flows._shared.bigquery_export.stream import read_rows
from flows._shared.counted import counted


def export_table(
    connection: psycopg.Connection,
    dataset: CopyDataset,
    table: CopiedTable,
    *,
    rows_per_load: int = 50_000,
    lookback: timedelta = timedelta(hours=24),
    sent: Callable[[int], None] = lambda rows: None,
) -> ExportCounts:
    """Bring the copy of one table up to its source, and prove that they are equal.

    Args:
        connection: a snapshot of the source, from `open_snapshot`.
        rows_per_load: rows of one load job. Memory holds a part of them, disk all.
        lookback: rows changed up to this long before the newest exported change are sent again;
            a table whose change is an integer is sent from that integer on.
        sent: told how many rows were sent so far, after each load job.

    Raises:
        PlatformError: one of those in this module's docstring.
    """
    started = time.monotonic()
    with told_as_ours(f"exporting {table} to BigQuery"):
        _lock(connection, dataset, table)
        columns = read_columns(connection, table)
        unplaced = unplaced_columns(connection, table)
        emptied = dataset.ensure_table(table, columns, SourceColumns.read(connection, table))
        keyed = has_key(table, columns)
        wanted = source_fingerprint(connection, table, columns, keyed)
        unkeyed, unkeyed_keys = first_keys(
            connection, table, columns, sql.SQL("not ({})").format(keyed)
        )
        nulled = nulled_values(connection, table, columns)
        keys = nulled_keys(connection, table, columns, nulled)

        def send(condition: sql.Composable, first_batch: int) -> int:
            wanted_rows = sql.SQL("{} and {}").format(keyed, condition)
            # While COPY runs it holds the connection, which could not be closed after a failure.
            with closing(read_rows(connection, table, columns, wanted_rows)) as batches:
                return dataset.load(table, columns, batches, first_batch, rows_per_load, sent)

        rows = changed = deleted = 0
        if table.change:
            newest, next_batch = dataset.progress(table, columns)
            rows = send(changed_since(table.change, newest, lookback), next_batch)
            changed = dataset.merge(table, columns)
        differing = differing_buckets(wanted, dataset.fingerprint(table, columns))
        if differing:
            dataset.forget_loaded(table)
            rows += send(in_buckets(table, columns, differing), 0)
            changed += dataset.merge(table, columns, keep_loaded=True)
            deleted = dataset.delete_missing(table, columns, differing)
        found = dataset.fingerprint(table, columns) if differing else wanted
    if differing_buckets(wanted, found):
        raise ExportMismatchError(
            f"exporting {table} to BigQuery",
            f"the source has {counted(count_rows(wanted), 'row')}, the copy "
            f"{count_rows(found)}, and "
            f"{len(differing_buckets(wanted, found))} of 256 parts are not equal",
            f"Check that {', '.join(table.key)} tells rows apart and look for a second writer; "
            "then drop the copy on BigQuery and export again",
        )
    seconds = time.monotonic() - started
    return ExportCounts(
        *(table.name, rows, changed, deleted, count_rows(found), seconds),
        nulled=nulled,
        nulled_keys=keys,
        emptied=emptied,
        unkeyed=unkeyed,
        unkeyed_keys=unkeyed_keys,
        unplaced=unplaced,
    )


def compare_table(
    connection: psycopg.Connection, dataset: CopyDataset, table: CopiedTable
) -> Comparison:
    """Whether two tables that were made apart hold the same rows. Without a key rows are told apart
    by all they hold.

    Raises:
        PlatformError: one of those in this module's docstring.
    """
    with told_as_ours(f"comparing {table} with BigQuery"):
        columns = read_columns(connection, table)
        keyed = replace(table, key=table.key or tuple(column.name for column in columns))
        wanted = source_fingerprint(connection, keyed, columns)
        found = dataset.fingerprint(keyed, columns)
    return Comparison(
        table.name, count_rows(wanted), count_rows(found), len(differing_buckets(wanted, found))
    )


def _lock(connection: psycopg.Connection, dataset: CopyDataset, table: CopiedTable) -> None:
    # Before the snapshot is taken: names of columns are read as of it, rows by the names of today.
    there = sql.SQL("lock table {} in access share mode").format(
        sql.Identifier(table.schema, table.name)
    )
    not_to_be_locked = (
        psycopg.errors.UndefinedTable,
        psycopg.errors.WrongObjectType,
        # A role that may read some columns alone.
        psycopg.errors.InsufficientPrivilege,
    )
    with suppress(*not_to_be_locked), connection.transaction():
        connection.execute(there)
    name = f"export of {table} to {dataset}"
    query = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    if connection.execute(query, [name]).fetchone() == (False,):
        raise ExportRunningError(
            f"exporting {table} to BigQuery", "another export of it is running", "Try again later"
        )
