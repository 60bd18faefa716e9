"""The copies: their tables, load jobs, merges and checksums."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import requests
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.cloud import bigquery

from flows._shared.bigquery_export.checksums import (
    bucket_in_bigquery,
    factor_in_bigquery,
    parts_of,
    sum_of_parts,
    text_in_bigquery,
)
from flows._shared.bigquery_export.columns import LOADING, batch_column, factor_columns, only
from flows._shared.bigquery_export.errors import (
    SchemaChangedError,
    told_as_ours,
)
from flows._shared.bigquery_export.memory import ColumnMemory, SourceColumns, refuse_renamed
from flows._shared.bigquery_export.records import Change, Column, CopiedTable, Fingerprint
from flows._shared.bigquery_export.stream import parquet_files

LOGGER = logging.getLogger(__name__)
JOB_SECONDS = 1800.0
CANCEL_SECONDS = 2.0
# BigQuery's API and its SQL name types differently.
API_NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
SQL_NAMES = {api: name for name, api in API_NAMES.items()}


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
        self._memory = ColumnMemory(client, self._reference)
        described = bigquery.Dataset(self._reference)
        described.location = location
        with told_as_ours(f"opening the BigQuery dataset {dataset}"):
            client.create_dataset(described, exists_ok=True)

    def __str__(self) -> str:
        return f"{self._reference.project}.{self._reference.dataset_id}"

    def has_table(self, name: str) -> bool:
        with told_as_ours(f"looking for {self}.{name}"):
            return self._schema(name) is not None

    def ensure_table(
        self, table: CopiedTable, columns: Sequence[Column], source: SourceColumns
    ) -> tuple[str, ...]:
        """Create the copy, or add columns that are new. A column the source lost stays, as NULL.

        ``source`` is remembered, and compared with what the last export saw. Returns the columns
        whose values were emptied.

        Raises:
            SchemaChangedError: a column has another type than before.
            ExportSourceError: an excluded column is gone, and a column is new that may be it.
        """
        before = self._memory.last(table)
        if before is not None:
            refuse_renamed(table, before, source)
        there = self._table(table.name) or self._create(table, columns)
        found = _kinds(there)
        by_letters = {name.lower(): kind for name, kind in found.items()}
        for column in columns:
            was = by_letters.get(column.name.lower(), column.kind)
            if was != column.kind:
                raise SchemaChangedError(
                    f"exporting {table}.{column.name} to BigQuery",
                    f"it was {was} and is {column.kind} now",
                    f"Drop the column of {self}.{table.name}, then export again",
                )
        # Before anything is sent: an export that dies on the way is remembered, too.
        if before != source:
            # What was loaded and not merged may hold a column that is excluded now.
            self.forget_loaded(table)
            self._memory.keep(table, source)
        if new := [column for column in columns if column.name.lower() not in by_letters]:
            added = ", ".join(
                f"add column if not exists `{c.name}` {_sql_name(c.kind)}" for c in new
            )
            self._run(table, f"alter table {self._name(table.name)} {added}")
        kept = {column.name.lower() for column in columns}
        return self._emptied(table, [name for name in found if name.lower() not in kept])

    def _create(self, table: CopiedTable, columns: Sequence[Column]) -> bigquery.Table:
        described = bigquery.Table(self._reference.table(table.name), schema=_fields(columns))
        kinds = {column.name: column.kind for column in columns}
        if table.change and kinds[table.change] in ("TIMESTAMP", "DATE"):
            # By month: a job writes 4,000 partitions at most, which days reach in 11 years.
            described.time_partitioning = bigquery.TimePartitioning(
                type_=bigquery.TimePartitioningType.MONTH, field=table.change
            )
        if table.cluster_by:
            described.clustering_fields = list(table.cluster_by)
        return self._client.create_table(described)

    def _emptied(self, table: CopiedTable, lost: Sequence[str]) -> tuple[str, ...]:
        """Those of the columns that had a value."""
        return tuple(
            name
            for name in lost
            if self._run_counted(
                table,
                f"update {self._name(table.name)} set `{name}` = null where `{name}` is not null",
            )[1]
        )

    def progress(self, table: CopiedTable, columns: Sequence[Column]) -> tuple[Change | None, int]:
        """The newest change in the copy or loaded for it, and the number of the next load job.

        A row of a clock that is more than a day ahead does not count: every row that is written
        until that day comes would pass for exported.
        Rows that an export loaded and could not merge are forgotten if the table has other columns
        now.
        """
        kinds = {column.name: column.kind for column in columns}
        changes = _changes_until_tomorrow(str(table.change), kinds[str(table.change)])
        query = f"select max({changes}) as newest from {self._name(table.name)}"
        newest: Change | None = self._run(table, query)[0]["newest"]
        loaded = self._schema(self._loading(table))
        if loaded is None:
            return newest, 0
        batch = batch_column(columns)
        if loaded != {batch: "INTEGER"} | kinds:
            self.forget_loaded(table)
            return newest, 0
        row = self._run(
            table,
            f"select max({changes}) as newest, coalesce(max({batch}), -1) as batch "
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
        fields = [bigquery.SchemaField(batch_column(columns), "INTEGER"), *_fields(columns)]
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            schema=fields,
        )
        into = self._reference.table(self._loading(table))
        rows = 0
        for parquet, count in parquet_files(batches, columns, first_batch, rows_per_load):
            _rows_of(self._client.load_table_from_file(parquet, into, job_config=config))
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
            f"(partition by {', '.join(keys)} order by {batch_column(columns)} desc) = 1"
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
        key = text_in_bigquery(only(columns, table.key))
        loading = self._loading(table)
        there = (
            f"and {key} not in (select {key} from {self._name(loading)})"
            if self._schema(loading) is not None
            else ""
        )
        _, deleted = self._run_counted(
            table,
            f"delete from {self._name(table.name)} where {bucket_in_bigquery(key)} in "
            f"({', '.join(repr(bucket) for bucket in sorted(buckets))}) {there}",
        )
        self.forget_loaded(table)
        return deleted

    def fingerprint(self, table: CopiedTable, columns: Sequence[Column]) -> Fingerprint:
        """Of the copy, equal to that of its source if the rows are."""
        return sum_of_parts(self._part(table, part) for part in parts_of(table, columns))

    def _part(self, table: CopiedTable, columns: Sequence[Column]) -> Fingerprint:
        rows = self._run(table, fingerprint_statement(self._name(table.name), table, columns))
        return {row["bucket"]: (int(row["counted"]), int(row["checksum"])) for row in rows}

    def forget_loaded(self, table: CopiedTable) -> None:
        """Drop rows that were loaded and not merged."""
        self._client.delete_table(self._reference.table(self._loading(table)), not_found_ok=True)

    def rewrite(self, name: str, column: str, shown: Callable[[str], str]) -> int:
        """Show the texts of a column otherwise, in a table that no export writes; how many."""
        told = self._ask(f"select distinct {column} as text from {self._name(name)}", name)
        changed = [
            (row["text"], other)
            for row in told
            if row["text"] is not None and (other := shown(row["text"])) != row["text"]
        ]
        for before, after in changed:
            self._ask(
                f"update {self._name(name)} set {column} = @after where {column} = @before",
                name,
                before=before,
                after=after,
            )
        return len(changed)

    def _schema(self, name: str) -> dict[str, str] | None:
        found = self._table(name)
        return None if found is None else _kinds(found)

    def _table(self, name: str) -> bigquery.Table | None:
        try:
            return self._client.get_table(self._reference.table(name))
        except NotFound:
            return None

    def _run(self, table: CopiedTable, statement: str) -> list[Any]:
        return self._run_counted(table, statement)[0]

    def _run_counted(self, table: CopiedTable, statement: str) -> tuple[list[Any], int]:
        job = self._job(statement, table.name)
        rows = list(_rows_of(job))
        return rows, int(job.num_dml_affected_rows or 0)

    def _ask(self, statement: str, name: str, **texts: str) -> list[Any]:
        return list(_rows_of(self._job(statement, name, **texts)))

    def _job(self, statement: str, name: str, **texts: str) -> bigquery.QueryJob:
        config = bigquery.QueryJobConfig(labels={**self._labels, "model": name.lower()[:63]})
        config.query_parameters = [
            bigquery.ScalarQueryParameter(each, "STRING", text) for each, text in texts.items()
        ]
        return self._client.query(statement, job_config=config)

    def _loading(self, table: CopiedTable) -> str:
        return f"{table.name}{LOADING}"

    def _name(self, table: str) -> str:
        return f"`{self}.{table}`"


def _rows_of(job: bigquery.QueryJob | bigquery.LoadJob) -> Any:
    """What a job gives once it is done; a program that is told to stop leaves none running."""
    try:
        return job.result(timeout=JOB_SECONDS)
    except Exception:
        raise
    except BaseException:
        try:
            job.cancel(retry=None, timeout=CANCEL_SECONDS)
        except (GoogleAPIError, requests.RequestException) as error:
            # What ends a run must not become a failure that is tried again.
            LOGGER.warning("a job could not be cancelled: %s", type(error).__name__)
        raise


def fingerprint_statement(name: str, table: CopiedTable, columns: Sequence[Column]) -> str:
    """The statement that gives bucket, count and checksum of one part of the columns."""
    factors = factor_columns(columns)
    read = [f"`{column.name}`" for column in columns] + [
        f"{factor_in_bigquery(column)} as {factors[column.name]}"
        for column in columns
        if column.name in factors
    ]
    bucket = bucket_in_bigquery(text_in_bigquery(only(columns, table.key), factors))
    hashed = f"substr(to_hex(md5({text_in_bigquery(columns, factors)})), 1, 8)"
    return (
        f"select {bucket} as bucket, count(*) as counted, "
        f"sum(cast(concat('0x', {hashed}) as int64)) as checksum "
        f"from (select {', '.join(read)} from {name}) group by 1"
    )


def _kinds(table: bigquery.Table) -> dict[str, str]:
    return {f.name: API_NAMES.get(f.field_type, f.field_type) for f in table.schema}


def _changes_until_tomorrow(name: str, kind: str) -> str:
    tomorrow = {
        "TIMESTAMP": "timestamp_add(current_timestamp(), interval 1 day)",
        "DATE": "date_add(current_date(), interval 1 day)",
    }.get(kind)
    return f"if(`{name}` <= {tomorrow}, `{name}`, null)" if tomorrow else f"`{name}`"


def _fields(columns: Sequence[Column]) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField(column.name, column.kind) for column in columns]


def _sql_name(kind: str) -> str:
    return SQL_NAMES.get(kind, kind)
