"""Rows by COPY into Parquet files, in constant memory."""

import io
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import IO, Any

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from psycopg import sql

from flows._shared.bigquery_export.columns import batch_column
from flows._shared.bigquery_export.forms import as_read
from flows._shared.bigquery_export.records import Column, CopiedTable

# Arrow holds several blocks of text at a time: an export of 1,000,000 rows took 508 MiB with blocks
# of 8 MiB, 285 to 302 with 1 MiB, and 251 with this and Parquet without dictionaries. A row that is
# longer than a block is read with a longer one, as far as BigQuery takes such rows: up to 100 MB.
BLOCK_BYTES = 1 << 18
LONGEST_BLOCK_BYTES = 128 << 20
ROW_LONGER_THAN_BLOCK = "straddling object"
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


def read_rows(
    connection: psycopg.Connection,
    table: CopiedTable,
    columns: Sequence[Column],
    condition: sql.Composable,
) -> Generator[pa.RecordBatch]:
    """Rows in order of change, a block of text at a time. Whoever reads them closes this: until its
    end or then, nobody else can use the connection, not even to close it.
    """
    block_bytes, rows = BLOCK_BYTES, 0
    while True:
        try:
            with closing(
                _read_blocks(connection, table, columns, condition, rows, block_bytes)
            ) as blocks:
                for batch in blocks:
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
) -> Generator[pa.RecordBatch]:
    order = [*([table.change] if table.change else []), *table.key]
    query = sql.SQL(
        "copy (select {} from {} where {} order by {} offset {}) to stdout (format csv)"
    ).format(
        sql.SQL(", ").join(as_read(column) for column in columns),
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
    # And pyarrow reads ahead in a thread of its own: closing the file waits for that.
    with (
        connection.transaction(),
        connection.cursor().copy(query) as copy,
        io.BufferedReader(_CopyFile(copy)) as source,
    ):
        # pyarrow cannot open an empty file.
        if not source.peek(1):
            return
        yield from pa_csv.open_csv(
            source,
            pa_csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=names),
            pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            read_as,
        )


def parquet_files(
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[Column],
    first_batch: int,
    rows_per_file: int,
) -> Iterator[tuple[IO[bytes], int]]:
    """Files of at most ``rows_per_file`` rows, each numbered in a column of its own."""
    kinds = [INSTANT if c.kind == "TIMESTAMP" else READ_AS[c.kind] for c in columns]
    schema = pa.schema(
        [
            (batch_column(columns), pa.int64()),
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
