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
for (an instant or a day that is infinite or not of the years 1 to 9999, a NUMERIC that is no
number) is NULL in the copy, and counted by column in `ExportCounts.nulled`.

    ExportSourceError       the source has not what is to be exported
    SchemaChangedError      a column has another type than its copy
    ExportMismatchError     after everything the copy is not equal to its source
    SourceUnavailableError, BigQueryUnavailableError, ExportRunningError   another try may help
    BigQueryRefusedError    BigQuery does not take what it was given
"""

import io
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import IO, Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import requests
from google.api_core.exceptions import (
    GoogleAPIError,
    NotFound,
    RetryError,
    ServerError,
    TooManyRequests,
)
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery
from psycopg import sql

from flows._shared.errors import PermanentError, TransientError
from flows._shared.postgres import DatabaseUnreachableError, open_connection

JOB_SECONDS = 1800.0
# Arrow holds several blocks of text at a time: an export of 1,000,000 rows took 508 MiB with blocks
# of 8 MiB, 285 to 302 with 1 MiB, and 251 with this and Parquet without dictionaries. A row that is
# longer than a block is read with a longer one, as far as BigQuery takes such rows: up to 100 MB.
BLOCK_BYTES = 1 << 18
LONGEST_BLOCK_BYTES = 128 << 20
ROW_LONGER_THAN_BLOCK = "straddling object"
BATCH = "export_batch"
NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_]")
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
TYPES = {
    "uuid": "STRING",
    "text": "STRING",
    "character varying": "STRING",
    "character": "STRING",
    "json": "STRING",
    "jsonb": "STRING",
    "smallint": "INTEGER",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "real": "FLOAT",
    "double precision": "FLOAT",
    "numeric": "NUMERIC",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP",
}
# Instants are read as microseconds since 1970.
READ_AS = {
    "STRING": pa.string(),
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.int64(),
}
INSTANT = pa.timestamp("us", tz="UTC")
# BigQuery's API and its SQL name types differently.
API_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
SQL_NAMES = {api: name for name, api in API_NAMES.items()}


class ExportSourceError(PermanentError):
    """The source has not what is to be exported."""


class SchemaChangedError(PermanentError):
    """A column has another type than its copy."""


class ExportMismatchError(PermanentError):
    """After an export the copy is not equal to its source."""


class BigQueryRefusedError(PermanentError):
    """BigQuery does not take what it was given."""


class BigQueryUnavailableError(TransientError):
    """BigQuery did not answer, or asks to come back later."""


class SourceUnavailableError(TransientError):
    """PostgreSQL did not answer, or the connection broke."""


class ExportRunningError(TransientError):
    """Another export of the same table is running."""


@dataclass(frozen=True)
class CopiedTable:
    """One table, or view, that is copied.

    Args:
        schema: where it is on PostgreSQL; the copy has the same name without it.
        name: of the table.
        key: columns that tell rows apart, none of them NULL.
        change: a column that grows when a row is written: an instant, a date or a growing integer.
            Without one, rows that changed are found by checksum.
        excluded: columns that never leave the source.
        cluster_by: columns the copy is clustered by. It is partitioned by day of ``change``.
    """

    schema: str
    name: str
    key: tuple[str, ...]
    change: str | None = None
    excluded: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Column:
    """``kind`` is the type on BigQuery, as its API names it; ``source`` the name on PostgreSQL."""

    name: str
    kind: str
    source: str = ""

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.source or self.name)


@dataclass(frozen=True)
class ExportCounts:
    """``rows`` were sent, ``changed`` of them written, ``deleted`` removed; ``total`` are there.

    ``nulled`` are the values of each column that BigQuery has no form for, and that are NULL there;
    ``nulled_keys`` the keys of the first rows with one, by column.
    """

    table: str
    rows: int
    changed: int
    deleted: int
    total: int
    seconds: float
    nulled: Mapping[str, int] = field(default_factory=dict)
    nulled_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def remark(self) -> str | None:
        """What a person should know of the copy; None where it says all that the table does."""
        if not self.nulled:
            return None
        listed = ", ".join(
            f"{number} of {column} (key {' | '.join(self.nulled_keys[column])})"
            for column, number in self.nulled.items()
        )
        return f"{self.table}: BigQuery has no form for some values, which are NULL there: {listed}"


@dataclass(frozen=True)
class Comparison:
    """One table on both sides; ``differing_parts`` of 256 have another count or checksum."""

    table: str
    source_rows: int
    copy_rows: int
    differing_parts: int

    @property
    def is_equal(self) -> bool:
        return not self.differing_parts

    def __str__(self) -> str:
        return (
            f"{self.table} has {self.source_rows} rows on PostgreSQL and {self.copy_rows} on "
            f"BigQuery, and {self.differing_parts} of 256 parts are not equal"
        )


# Rows and sum of their hashes, by the first byte of the hash of their key.
Fingerprint = Mapping[str, tuple[int, int]]
Change = datetime | date | int


def export_table(
    connection: psycopg.Connection,
    dataset: "CopyDataset",
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
        dataset.ensure_table(table, columns)
        wanted = _source_fingerprint(connection, table, columns)
        nulled = _nulled(connection, table, columns)
        keys = _nulled_keys(connection, table, [c for c in columns if c.name in nulled])

        def send(condition: sql.Composable, first_batch: int) -> int:
            batches = _read(connection, table, columns, condition)
            return dataset.load(table, columns, batches, first_batch, rows_per_load, sent)

        rows = changed = deleted = 0
        if table.change:
            newest, next_batch = dataset.progress(table, columns)
            rows = send(_since(table.change, newest, lookback), next_batch)
            changed = dataset.merge(table, columns)
        differing = _differing(wanted, dataset.fingerprint(table, columns))
        if differing:
            dataset.forget_loaded(table)
            rows += send(_in_buckets(table, columns, differing), 0)
            changed += dataset.merge(table, columns, keep_loaded=True)
            deleted = dataset.delete_missing(table, columns, differing)
        found = dataset.fingerprint(table, columns) if differing else wanted
    if _differing(wanted, found):
        raise ExportMismatchError(
            f"exporting {table} to BigQuery",
            f"the source has {_rows(wanted)} rows, the copy {_rows(found)}, and "
            f"{len(_differing(wanted, found))} of 256 parts are not equal",
            f"Check that {', '.join(table.key)} tells rows apart and look for a second writer; "
            "then drop the copy on BigQuery and export again",
        )
    seconds = time.monotonic() - started
    return ExportCounts(table.name, rows, changed, deleted, _rows(found), seconds, nulled, keys)


def compare_table(
    connection: psycopg.Connection, dataset: "CopyDataset", table: CopiedTable
) -> Comparison:
    """Whether two tables that were made apart hold the same rows. Without a key rows are told apart
    by all they hold.

    Raises:
        PlatformError: one of those in this module's docstring.
    """
    with told_as_ours(f"comparing {table} with BigQuery"):
        columns = read_columns(connection, table)
        keyed = replace(table, key=table.key or tuple(column.name for column in columns))
        wanted = _source_fingerprint(connection, keyed, columns)
        found = dataset.fingerprint(keyed, columns)
    return Comparison(table.name, _rows(wanted), _rows(found), len(_differing(wanted, found)))


@contextmanager
def open_snapshot(url: str) -> Iterator[psycopg.Connection]:
    """A read-only transaction that sees the database as it was when it began.

    Raises:
        SourceUnavailableError: PostgreSQL does not answer.
        DatabaseRefusedError: it does not let us in.
    """
    try:
        opened = open_connection(url, "the source of an export", autocommit=False)
    except DatabaseUnreachableError as error:
        raise SourceUnavailableError(error.attempted, error.seen, error.remedy) from error
    with opened as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("set time zone 'UTC'")
        connection.execute("set datestyle = 'ISO'")
        connection.execute("set intervalstyle = 'postgres'")
        connection.execute("set bytea_output = 'hex'")
        connection.execute("set client_encoding = 'UTF8'")
        yield connection


def read_columns(connection: psycopg.Connection, table: CopiedTable) -> tuple[Column, ...]:
    """The columns of a table that are copied, and the BigQuery type of each.

    Raises:
        ExportSourceError: no such table, or no BigQuery type is known for a column.
    """
    found = connection.execute(
        "select attname, "
        "format_type(case typtype when 'd' then typbasetype else atttypid end, null), "
        "case when atttypid = 'numeric'::regtype and atttypmod >= 4 "
        "then ((atttypmod - 4) >> 16) - ((atttypmod - 4) & 2047) end, "
        "case when atttypid = 'numeric'::regtype and atttypmod >= 4 "
        "then (atttypmod - 4) & 2047 end "
        "from pg_attribute join pg_type on pg_type.oid = atttypid "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [sql.Identifier(table.schema, table.name).as_string(connection)],
    ).fetchall()
    attempted = f"exporting {table} to BigQuery"
    if not found:
        remedy = "Point the block at the right database, or build the table first"
        raise ExportSourceError(attempted, "there is no such table", remedy)
    columns = []
    needed = {*table.key, table.change}
    for name, kind, whole_digits, decimals in found:
        if name in table.excluded:
            continue
        known = TYPES.get(kind, "STRING")
        if known == "NUMERIC" and (decimals is None or decimals > 9 or whole_digits > 29):
            known = "STRING"
        columns.append(Column(_copied_name(name), known, name))
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(column.name.lower(), []).append(column.source)
    for copied, names in by_name.items():
        if len(names) > 1 or needed.intersection(names) - {each.name for each in columns}:
            raise ExportSourceError(
                attempted,
                f"BigQuery has no place for column {names[-1]!r}: its name there is {copied}",
                "Exclude the column, or rename it in a view and export that",
            )
    missing = {*table.key, *([table.change] if table.change else [])} - {c.name for c in columns}
    if missing:
        remedy = "Correct the key and the change column of the table's description"
        raise ExportSourceError(attempted, f"it has no column {sorted(missing)}", remedy)
    return tuple(columns)


def _copied_name(name: str) -> str:
    """The name of a column on BigQuery, with a line under what its names do not hold."""
    spelled = NOT_OF_A_NAME.sub("_", name)[:299]
    return spelled if COLUMN_NAME.fullmatch(spelled) else f"_{spelled}"


class CopyDataset:
    """One BigQuery dataset that holds copies of PostgreSQL tables.

    ``labels`` are put on every job, and the copied table as the label ``model``.

    Its methods raise what google-cloud-bigquery raises; `export_table` tells it as our errors.
    """

    def __init__(
        self,
        client: bigquery.Client,
        dataset: str,
        location: str,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._labels = dict(labels or {})
        self._reference = bigquery.DatasetReference(client.project, dataset)
        described = bigquery.Dataset(self._reference)
        described.location = location
        with told_as_ours(f"opening the BigQuery dataset {dataset}"):
            client.create_dataset(described, exists_ok=True)

    def __str__(self) -> str:
        return f"{self._reference.project}.{self._reference.dataset_id}"

    def has_table(self, name: str) -> bool:
        with told_as_ours(f"looking for {self}.{name}"):
            return self._schema(name) is not None

    def ensure_table(self, table: CopiedTable, columns: Sequence[Column]) -> None:
        """Create the copy, or add columns that are new. A column the source lost stays, as NULL.

        Raises:
            SchemaChangedError: a column has another type than before.
        """
        found = self._schema(table.name)
        if found is None:
            described = bigquery.Table(self._reference.table(table.name), schema=_fields(columns))
            kinds = {column.name: column.kind for column in columns}
            if table.change and kinds[table.change] in ("TIMESTAMP", "DATE"):
                # By month: a job writes 4,000 partitions at most, which days reach in 11 years.
                described.time_partitioning = bigquery.TimePartitioning(
                    type_=bigquery.TimePartitioningType.MONTH, field=table.change
                )
            if table.cluster_by:
                described.clustering_fields = list(table.cluster_by)
            self._client.create_table(described)
            return
        for column in columns:
            if found.get(column.name, column.kind) != column.kind:
                raise SchemaChangedError(
                    f"exporting {table}.{column.name} to BigQuery",
                    f"it was {found[column.name]} and is {column.kind} now",
                    f"Rename or drop the column of {self}.{table.name}, then export again",
                )
        new = [column for column in columns if column.name not in found]
        if new:
            added = ", ".join(
                f"add column if not exists `{c.name}` {_sql_name(c.kind)}" for c in new
            )
            self._run(table, f"alter table {self._name(table.name)} {added}")

    def progress(self, table: CopiedTable, columns: Sequence[Column]) -> tuple[Change | None, int]:
        """The newest change in the copy or loaded for it, and the number of the next load job.

        Rows that an export loaded and could not merge are forgotten if the table has other columns
        now.
        """
        query = f"select max(`{table.change}`) as newest from {self._name(table.name)}"
        newest: Change | None = self._run(table, query)[0]["newest"]
        loaded = self._schema(self._loading(table))
        if loaded is None:
            return newest, 0
        batch = _batch_column(columns)
        if loaded != {batch: "INTEGER"} | {column.name: column.kind for column in columns}:
            self.forget_loaded(table)
            return newest, 0
        row = self._run(
            table,
            f"select max(`{table.change}`) as newest, coalesce(max({batch}), -1) as batch "
            f"from {self._name(self._loading(table))}",
        )[0]
        known = [value for value in (newest, row["newest"]) if value is not None]
        return max(known, default=None), int(row["batch"]) + 1

    def load(
        self,
        table: CopiedTable,
        columns: Sequence[Column],
        batches: Iterable[pa.RecordBatch],
        first_batch: int,
        rows_per_load: int,
        sent: Callable[[int], None],
    ) -> int:
        """Append rows to what is loaded for the copy; returns how many."""
        fields = [bigquery.SchemaField(_batch_column(columns), "INTEGER"), *_fields(columns)]
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            schema=fields,
        )
        into = self._reference.table(self._loading(table))
        rows = 0
        for parquet, count in _parquet_files(batches, columns, first_batch, rows_per_load):
            job = self._client.load_table_from_file(parquet, into, job_config=config)
            job.result(timeout=JOB_SECONDS)
            rows += count
            sent(rows)
        return rows

    def merge(
        self, table: CopiedTable, columns: Sequence[Column], *, keep_loaded: bool = False
    ) -> int:
        """Insert or replace by key what is loaded; returns how many rows that wrote."""
        loading = self._loading(table)
        if self._schema(loading) is None:
            return 0
        names = [f"`{column.name}`" for column in columns]
        others = [f"`{column.name}`" for column in columns if column.name not in table.key]
        keys = [f"`{name}`" for name in table.key]
        is_another = " or ".join(f"kept.{name} is distinct from new.{name}" for name in others)
        values = ", ".join(f"{name} = new.{name}" for name in others)
        update = f"when matched and ({is_another}) then update set {values} " if others else ""
        _, written = self._run_counted(
            table,
            f"merge into {self._name(table.name)} as kept using ("
            f"select {', '.join(names)} from {self._name(loading)} where true "
            f"qualify row_number() over "
            f"(partition by {', '.join(keys)} order by {_batch_column(columns)} desc) = 1"
            f") as new on {' and '.join(f'kept.{key} = new.{key}' for key in keys)} {update}"
            f"when not matched then insert ({', '.join(names)}) "
            f"values ({', '.join(f'new.{name}' for name in names)})",
        )
        if not keep_loaded:
            self.forget_loaded(table)
        return written

    def delete_missing(
        self, table: CopiedTable, columns: Sequence[Column], buckets: Collection[str]
    ) -> int:
        """Delete the rows of some buckets whose keys are not loaded; returns how many."""
        key = _in_bigquery(_only(columns, table.key))
        loading = self._loading(table)
        there = (
            f"and {key} not in (select {key} from {self._name(loading)})"
            if self._schema(loading) is not None
            else ""
        )
        _, deleted = self._run_counted(
            table,
            f"delete from {self._name(table.name)} where {_bigquery_bucket(key)} in "
            f"({', '.join(repr(bucket) for bucket in sorted(buckets))}) {there}",
        )
        self.forget_loaded(table)
        return deleted

    def fingerprint(self, table: CopiedTable, columns: Sequence[Column]) -> Fingerprint:
        """Of the copy, equal to that of its source if the rows are."""
        bucket = _bigquery_bucket(_in_bigquery(_only(columns, table.key)))
        hashed = f"substr(to_hex(md5({_in_bigquery(columns)})), 1, 8)"
        rows = self._run(
            table,
            f"select {bucket} as bucket, count(*) as counted, "
            f"sum(cast(concat('0x', {hashed}) as int64)) as checksum "
            f"from {self._name(table.name)} group by 1",
        )
        return {row["bucket"]: (int(row["counted"]), int(row["checksum"])) for row in rows}

    def forget_loaded(self, table: CopiedTable) -> None:
        """Drop rows that were loaded and not merged."""
        self._client.delete_table(self._reference.table(self._loading(table)), not_found_ok=True)

    def _schema(self, name: str) -> dict[str, str] | None:
        try:
            found = self._client.get_table(self._reference.table(name))
        except NotFound:
            return None
        return {f.name: API_NAMES.get(f.field_type, f.field_type) for f in found.schema}

    def _run(self, table: CopiedTable, statement: str) -> list[Any]:
        return self._run_counted(table, statement)[0]

    def _run_counted(self, table: CopiedTable, statement: str) -> tuple[list[Any], int]:
        labels = {**self._labels, "model": table.name.lower()[:63]}
        job = self._client.query(statement, job_config=bigquery.QueryJobConfig(labels=labels))
        rows = list(job.result(timeout=JOB_SECONDS))
        return rows, int(job.num_dml_affected_rows or 0)

    def _loading(self, table: CopiedTable) -> str:
        return f"{table.name}__loading"

    def _name(self, table: str) -> str:
        return f"`{self}.{table}`"


class _CopyFile(io.RawIOBase):
    """The output of COPY as the file that pyarrow's CSV reader wants."""

    def __init__(self, copy: psycopg.Copy) -> None:
        super().__init__()
        self._copy = copy
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        filled, room = 0, memoryview(buffer)
        while filled < len(room):
            if not self._rest:
                self._rest = memoryview(self._copy.read())
                if not self._rest:
                    break
            taken = min(len(self._rest), len(room) - filled)
            room[filled : filled + taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            filled += taken
        return filled


def _read(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    condition: sql.Composable,
) -> Iterator[pa.RecordBatch]:
    """Rows in order of change, a block of text at a time."""
    block_bytes, rows = BLOCK_BYTES, 0
    while True:
        try:
            for batch in _read_blocks(connection, table, columns, condition, rows, block_bytes):
                rows += batch.num_rows
                yield batch
            return
        except pa.ArrowInvalid as error:
            if ROW_LONGER_THAN_BLOCK not in str(error) or block_bytes >= LONGEST_BLOCK_BYTES:
                raise
            block_bytes = min(8 * block_bytes, LONGEST_BLOCK_BYTES)


def _read_blocks(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    condition: sql.Composable,
    first_row: int,
    block_bytes: int,
) -> Iterator[pa.RecordBatch]:
    order = [*([table.change] if table.change else []), *table.key]
    query = sql.SQL(
        "copy (select {} from {} where {} order by {} offset {}) to stdout (format csv)"
    ).format(
        sql.SQL(", ").join(_as_read(column) for column in columns),
        sql.Identifier(table.schema, table.name),
        condition,
        sql.SQL(", ").join(sql.Identifier(name) for name in order),
        sql.Literal(first_row),
    )
    names = [column.name for column in columns]
    read_as = pa_csv.ConvertOptions(
        column_types={column.name: READ_AS[column.kind] for column in columns},
        null_values=[""],
        true_values=["t"],
        false_values=["f"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    # A savepoint: what is cut off must not end the transaction, which sees tables as of one moment.
    with connection.transaction(), connection.cursor().copy(query) as copy:
        source = io.BufferedReader(_CopyFile(copy))
        # pyarrow cannot open an empty file.
        if not source.peek(1):
            return
        yield from pa_csv.open_csv(
            source,
            pa_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=names),
            pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            read_as,
        )


def _parquet_files(
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[Column],
    first_batch: int,
    rows_per_file: int,
) -> Iterator[tuple[IO[bytes], int]]:
    """Files of at most ``rows_per_file`` rows, each numbered in a column of its own."""
    kinds = [INSTANT if c.kind == "TIMESTAMP" else READ_AS[c.kind] for c in columns]
    schema = pa.schema(
        [
            (_batch_column(columns), pa.int64()),
            *((c.name, kind) for c, kind in zip(columns, kinds, strict=True)),
        ]
    )
    rest = iter(batches)
    pending = next(rest, None)
    number = first_batch
    while pending is not None:
        with tempfile.TemporaryFile() as parquet:
            count = 0
            with pq.ParquetWriter(
                parquet, schema, compression="zstd", use_dictionary=False
            ) as writer:
                while pending is not None and count < rows_per_file:
                    part = pending.slice(0, rows_per_file - count)
                    arrays = [
                        values.cast(kind) for values, kind in zip(part.columns, kinds, strict=True)
                    ]
                    numbers = pa.repeat(pa.scalar(number, pa.int64()), part.num_rows)
                    writer.write_batch(pa.record_batch([numbers, *arrays], schema=schema))
                    count += part.num_rows
                    is_used_up = part.num_rows == pending.num_rows
                    pending = next(rest, None) if is_used_up else pending.slice(part.num_rows)
            parquet.seek(0)
            yield parquet, count
        number += 1


def _batch_column(columns: Sequence[Column]) -> str:
    """A name that none of the columns has."""
    taken = {column.name.lower() for column in columns}
    name = BATCH
    while name in taken:
        name += "_"
    return name


def _lock(connection: psycopg.Connection, dataset: CopyDataset, table: CopiedTable) -> None:
    name = f"export of {table} to {dataset}"
    query = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    if connection.execute(query, [name]).fetchone() == (False,):
        raise ExportRunningError(
            f"exporting {table} to BigQuery", "another export of it is running", "Try again later"
        )


def _source_fingerprint(
    connection: psycopg.Connection, table: CopiedTable, columns: Sequence[Column]
) -> Fingerprint:
    query = sql.SQL(
        "select {}, count(*), "
        "sum(('x' || substr(md5(convert_to({}, 'UTF8')), 1, 8))::bit(32)::bigint) "
        "from {} group by 1"
    ).format(
        _bucket(table, columns), _in_postgres(columns), sql.Identifier(table.schema, table.name)
    )
    rows = connection.execute(query).fetchall()
    return {bucket: (int(counted), int(checksum)) for bucket, counted, checksum in rows}


def _since(change: str, newest: Change | None, lookback: timedelta) -> sql.Composable:
    match newest:
        case None:
            return sql.SQL("true")
        case datetime():
            since: object = (newest.astimezone(UTC) - lookback).replace(tzinfo=None).isoformat()
        case date():
            since = (newest - lookback).isoformat()
        case _:
            since = newest
    return sql.SQL("{} >= {}").format(sql.Identifier(change), sql.Literal(since))


def _in_buckets(
    table: CopiedTable, columns: Sequence[Column], buckets: Collection[str]
) -> sql.Composable:
    wanted = sql.SQL(", ").join(sql.Literal(bucket) for bucket in sorted(buckets))
    return sql.SQL("{} in ({})").format(_bucket(table, columns), wanted)


def _bucket(table: CopiedTable, columns: Sequence[Column]) -> sql.Composable:
    key = _in_postgres(_only(columns, table.key))
    return sql.SQL("substr(md5(convert_to({}, 'UTF8')), 1, 2)").format(key)


def _bigquery_bucket(key: str) -> str:
    return f"substr(to_hex(md5({key})), 1, 2)"


def _only(columns: Sequence[Column], names: Collection[str]) -> list[Column]:
    return [column for column in columns if column.name in names]


# What BigQuery has a form for; what it has none for is NULL.
WITH_A_FORM = {
    "NUMERIC": "nullif({0}, 'NaN')",
    "DATE": "case when {0} >= '0001-01-01' and {0} <= '9999-12-31' then {0} end",
    "TIMESTAMP": "case when {0} >= '0001-01-01' and {0} < '10000-01-01' then {0} end",
}
AS_READ = {
    "STRING": "{0}::text",
    "FLOAT": "{0}::double precision",
    "TIMESTAMP": "(extract(epoch from {0}) * 1000000)::bigint",
}


def _with_a_form(column: Column) -> sql.Composable:
    return sql.SQL("(" + WITH_A_FORM.get(column.kind, "{0}") + ")").format(column.identifier)


def _as_read(column: Column) -> sql.Composable:
    return sql.SQL(AS_READ.get(column.kind, "{0}")).format(_with_a_form(column))


# Enough to find them by; the count tells how many there are.
NULLED_KEYS = 10
LONGEST_KEY = 100


def _nulled(
    connection: psycopg.Connection, table: CopiedTable, columns: Sequence[Column]
) -> dict[str, int]:
    doubtful = [column for column in columns if column.kind in WITH_A_FORM]
    if not doubtful:
        return {}
    query = sql.SQL("select {} from {}").format(
        sql.SQL(", ").join(
            sql.SQL("count({}) - count({})").format(column.identifier, _with_a_form(column))
            for column in doubtful
        ),
        sql.Identifier(table.schema, table.name),
    )
    counted = connection.execute(query).fetchone() or ()
    return {c.name: number for c, number in zip(doubtful, counted, strict=True) if number}


def _nulled_keys(
    connection: psycopg.Connection, table: CopiedTable, columns: Sequence[Column]
) -> dict[str, tuple[str, ...]]:
    found = {}
    for column in columns:
        query = sql.SQL(
            "select concat_ws(', ', {}) from {} where {} is not null and {} is null "
            "order by {} limit {}"
        ).format(
            sql.SQL(", ").join(sql.Identifier(name) for name in table.key),
            sql.Identifier(table.schema, table.name),
            column.identifier,
            _with_a_form(column),
            sql.SQL(", ").join(sql.Identifier(name) for name in table.key),
            sql.Literal(NULLED_KEYS),
        )
        found[column.name] = tuple(str(key)[:LONGEST_KEY] for (key,) in connection.execute(query))
    return found


# The same text of a row in both dialects: what the checksums are made of. A float is told exactly:
# times a power of two, which neither rounds, its whole part has up to 63 binary digits and its
# fraction at most 62. One such power does for 73 binary places; the first serves the numbers that
# people write.
PLACES = 73
FRACTION = 2.0**62
BANDS = sorted(range(-15, 15), key=abs)


def _float_text(whole: str, absolute: str) -> str:
    """The arms of a case on ``{0}``; ``whole`` is the text of a float without a fraction."""
    arms = []
    for band in BANDS:
        lowest, highest = -10 + PLACES * band, -10 + PLACES * (band + 1)
        half = -PLACES * band // 2
        scaled = f"({{0}} * {2.0**half!r} * {2.0 ** (-PLACES * band - half)!r})"
        if not band:
            scaled = "({0} * 1.0)"
        bounds = [f"{absolute} >= {2.0**lowest!r}"] if lowest > -1074 else []
        bounds += [f"{absolute} < {2.0**highest!r}"] if highest < 1024 else []
        fraction = f"(({scaled} - trunc({scaled})) * {FRACTION!r})"
        arms.append(
            f"when {' and '.join(bounds)} then concat({whole.format(f'trunc({scaled})')}, ':', "
            f"{whole.format(fraction)})"
        )
    return " ".join(arms)


FLOAT_IN_POSTGRES = (
    "case when {0} is null then null when {0} = 'NaN' then 'nan' when {0} = 'Infinity' then 'inf' "
    "when {0} = '-Infinity' then '-inf' when {0} = 0 then '0' "
    + _float_text("cast(cast({} as bigint) as text)", "abs({0})")
    + " end"
)
FLOAT_IN_BIGQUERY = (
    "case when {0} is null then null when is_nan({0}) then 'nan' when is_inf({0}) then "
    "if({0} > 0, 'inf', '-inf') when {0} = 0 then '0' "
    + _float_text("cast(cast({} as int64) as string)", "abs({0})")
    + " end"
)


def _in_postgres(columns: Sequence[Column]) -> sql.Composable:
    texts = {
        "FLOAT": FLOAT_IN_POSTGRES,
        "NUMERIC": "trim_scale({0})::text",
        "TIMESTAMP": "(extract(epoch from {0}) * 1000000)::bigint::text",
    }
    parts = [
        sql.SQL("coalesce('=' || " + texts.get(column.kind, "{0}::text") + ", '')").format(
            sql.SQL("{}::double precision").format(column.identifier)
            if column.kind == "FLOAT"
            else _with_a_form(column)
        )
        for column in columns
    ]
    return sql.SQL(" || chr(31) || ").join(parts)


def _in_bigquery(columns: Sequence[Column]) -> str:
    texts = {
        "STRING": "{0}",
        "FLOAT": FLOAT_IN_BIGQUERY,
        "NUMERIC": "if(strpos(cast({0} as string), '.') > 0, "
        "rtrim(rtrim(cast({0} as string), '0'), '.'), cast({0} as string))",
        "TIMESTAMP": "cast(unix_micros({0}) as string)",
    }
    plain = "cast({0} as string)"
    values = [texts.get(column.kind, plain).format(f"`{column.name}`") for column in columns]
    parts = [f"coalesce(concat('=', {value}), '')" for value in values]
    # Not a chain of ||, which is nested as deep as the table is wide: too deep for the emulator.
    return f"array_to_string([{', '.join(parts)}], chr(31))"


def _differing(wanted: Fingerprint, found: Fingerprint) -> set[str]:
    return {bucket for bucket in {*wanted, *found} if wanted.get(bucket) != found.get(bucket)}


def _rows(fingerprint: Fingerprint) -> int:
    return sum(counted for counted, _ in fingerprint.values())


def _fields(columns: Sequence[Column]) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField(column.name, column.kind) for column in columns]


def _sql_name(kind: str) -> str:
    return SQL_NAMES.get(kind, kind)


@contextmanager
def told_as_ours(attempted: str) -> Iterator[None]:
    """What psycopg and Google's libraries raise becomes one of this module's errors."""
    try:
        yield
    except psycopg.OperationalError as error:
        remedy = "Check that PostgreSQL is up and reachable from here, and the block's login"
        raise SourceUnavailableError(attempted, str(error), remedy) from error
    except (psycopg.Error, pa.ArrowInvalid) as error:
        remedy = "Correct the rows or the rights, or exclude the column"
        raise ExportSourceError(attempted, str(error), remedy) from error
    except (
        *(ServerError, TooManyRequests, RetryError, TimeoutError),
        *(requests.ConnectionError, requests.Timeout, TransportError),
    ) as error:
        raise BigQueryUnavailableError(attempted, str(error), "Try again later") from error
    except (GoogleAPIError, GoogleAuthError) as error:
        remedy = "Check the project, its datasets and the roles of the service account"
        raise BigQueryRefusedError(attempted, str(error), remedy) from error
