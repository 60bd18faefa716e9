"""Keeps copies of PostgreSQL tables on BigQuery equal to their source, in constant memory.

    dataset = CopyDataset(client, "ledgermind_raw", "US")
    with open_snapshot(url) as connection:
        counts = export_table(connection, dataset, CopiedTable("public", "tenants", ("id",)))

Rows are streamed by COPY into Parquet files, which load jobs append to ``<table>__loading``; one
merge then brings the copy up to date, so that a reader never sees half an export and BigQuery scans
the copy once however many rows there are. An export that was cut off goes on from what is in
``<table>__loading``. In the end count and checksum of 256 buckets of keys are compared, and the
buckets that differ are sent again: rows that changed without their change column, that were written
with an old date, or that were deleted.

A type that BigQuery has no form for is copied as PostgreSQL's text of it. A value that it has none
for is counted by column in `ExportCounts.nulled`: an instant or a day that is infinite or not of
the years 1 to 9999 is the first or the last of these in the copy, so that a row that was deleted
then stays deleted, a NUMERIC that is no number is NULL, and a text that is no UTF-8, of a database
without an encoding, has octal escapes for its other bytes. A row whose key has such a value, or is
NULL, is not copied, and counted in `ExportCounts.unkeyed`.

Rows that row-level security would hide raise. A column that has the name of another on BigQuery,
where names know no capitals and no letters but the English ones, is left out and told.

A column that the source lost is emptied in the copy. An excluded column that is gone beside a new
one, or that another name has now, is refused until the list of excluded columns says whether they
are the same; the table ``export_columns`` beside the copies remembers what the last export saw.

    ExportSourceError       the source has not what is to be exported, or may have more than it may
    SchemaChangedError      a column has another type than its copy
    ExportMismatchError     after everything the copy is not equal to its source
    SourceUnavailableError, BigQueryUnavailableError, ExportRunningError   another try may help
    BigQueryRefusedError    BigQuery does not take what it was given
"""

from flows._shared.bigquery_export.columns import read_columns
from flows._shared.bigquery_export.dataset import CopyDataset
from flows._shared.bigquery_export.errors import (
    BigQueryRefusedError,
    BigQueryUnavailableError,
    ExportMismatchError,
    ExportRunningError,
    ExportSourceError,
    SchemaChangedError,
    SourceUnavailableError,
    told_as_ours,
)
from flows._shared.bigquery_export.export import compare_table, export_table
from flows._shared.bigquery_export.records import (
    Change,
    Column,
    Comparison,
    CopiedTable,
    ExportCounts,
)
from flows._shared.bigquery_export.source import open_snapshot
from flows._shared.bigquery_export.stream import BLOCK_BYTES

__all__ = [
    "BLOCK_BYTES",
    "BigQueryRefusedError",
    "BigQueryUnavailableError",
    "Change",
    "Column",
    "Comparison",
    "CopiedTable",
    "CopyDataset",
    "ExportCounts",
    "ExportMismatchError",
    "ExportRunningError",
    "ExportSourceError",
    "SchemaChangedError",
    "SourceUnavailableError",
    "compare_table",
    "export_table",
    "open_snapshot",
    "read_columns",
    "told_as_ours",
]
