"""The copy of the operational tables on BigQuery: Parquet load jobs, then a merge by key.

A batch is loaded into ``<table>__loading`` and merged: sent twice it changes nothing, and after an
interruption the next export goes on from the newest change that was merged.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from flows.ledgermind.records import Column, ExportedTable, Fingerprint, SchemaChangedError

JOB_SECONDS = 600.0
SYNONYMS = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}


class ExportedDataset:
    """One BigQuery dataset that holds copies of operational tables.

    Every method raises google.api_core.exceptions.GoogleAPIError when BigQuery refuses.
    """

    def __init__(self, client: bigquery.Client, dataset: str, location: str) -> None:
        self._client = client
        self._reference = bigquery.DatasetReference(client.project, dataset)
        described = bigquery.Dataset(self._reference)
        described.location = location
        client.create_dataset(described, exists_ok=True)

    def ensure_table(self, table: ExportedTable, columns: Sequence[Column]) -> None:
        """Create the table, or add columns that are new. A column the source lost stays, as NULL.

        Raises:
            SchemaChangedError: a column has another type than before.
        """
        fields = [bigquery.SchemaField(column.name, column.kind) for column in columns]
        try:
            found = self._client.get_table(self._reference.table(table.name))
        except NotFound:
            wanted = bigquery.Table(self._reference.table(table.name), schema=fields)
            if table.change:
                wanted.time_partitioning = bigquery.TimePartitioning(field=table.change)
            self._client.create_table(wanted)
            return
        there = {
            field.name: SYNONYMS.get(field.field_type, field.field_type) for field in found.schema
        }
        for column in columns:
            if column.name in there and there[column.name] != column.kind:
                raise SchemaChangedError(
                    f"exporting {table.name}.{column.name}",
                    f"it was {there[column.name]} and is {column.kind} now",
                    f"Rename or drop the column of {self._name(table.name)}, then export again",
                )
        for column in columns:
            if column.name not in there:
                kind = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
                self._query(
                    f"alter table {self._name(table.name)} "
                    f"add column `{column.name}` {kind.get(column.kind, column.kind)}"
                )

    def newest_change(self, table: ExportedTable) -> datetime | None:
        """The newest value of the change column that was merged, None for an empty copy."""
        if table.change is None:
            return None
        rows = self._query(f"select max({table.change}) as newest from {self._name(table.name)}")
        newest: datetime | None = rows[0]["newest"]
        return newest

    def merge(
        self,
        table: ExportedTable,
        columns: Sequence[Column],
        batches: Iterable[pa.Table],
        done: Callable[[int], None],
    ) -> int:
        """Insert or replace rows by key, a batch at a time; returns how many were sent."""
        names = [f"`{column.name}`" for column in columns]
        loading = f"{table.name}__loading"
        changed = ", ".join(f"{name} = batch.{name}" for name in names if name != f"`{table.key}`")
        statement = (
            f"merge into {self._name(table.name)} as kept using {self._name(loading)} as batch "
            f"on kept.{table.key} = batch.{table.key} "
            f"when matched then update set {changed} "
            f"when not matched then insert ({', '.join(names)}) "
            f"values ({', '.join(f'batch.{name}' for name in names)})"
        )
        sent = 0
        for batch in batches:
            self._load(loading, batch, columns, is_first=True)
            self._query(statement)
            sent += batch.num_rows
            done(sent)
        self._drop(loading)
        return sent

    def delete_missing(self, table: ExportedTable, key: Column, keys: Iterable[pa.Table]) -> int:
        """Delete the rows whose key is not among ``keys``; returns how many."""
        loading = f"{table.name}__keys"
        self._drop(loading)
        for number, batch in enumerate(keys):
            self._load(loading, batch, [key], is_first=number == 0)
        before = self.count(table)
        condition = (
            f"{table.key} not in (select {table.key} from {self._name(loading)})"
            if self._exists(loading)
            else "true"
        )
        self._query(f"delete from {self._name(table.name)} where {condition}")
        self._drop(loading)
        return before - self.count(table)

    def count(self, table: ExportedTable) -> int:
        return int(self._query(f"select count(*) as n from {self._name(table.name)}")[0]["n"])

    def fingerprint(self, table: ExportedTable) -> Fingerprint:
        """Count and checksum of the copy, as `source.fingerprint` of its source."""
        parts = [f"coalesce(cast({name} as string), '')" for name in table.compared]
        if table.change:
            parts.append(f"cast(unix_micros({table.change}) as string)")
        hashed = f"to_hex(md5({' || chr(124) || '.join(parts)}))"
        rows = self._query(
            f"select count(*) as n, coalesce(sum(cast(concat('0x', substr({hashed}, 1, 8)) "
            f"as int64)), 0) as checksum from {self._name(table.name)}"
        )
        return Fingerprint(int(rows[0]["n"]), int(rows[0]["checksum"]))

    def _load(
        self, name: str, batch: pa.Table, columns: Sequence[Column], *, is_first: bool
    ) -> None:
        parquet = io.BytesIO()
        pq.write_table(batch, parquet)
        parquet.seek(0)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition="WRITE_TRUNCATE" if is_first else "WRITE_APPEND",
            schema=[bigquery.SchemaField(column.name, column.kind) for column in columns],
        )
        job = self._client.load_table_from_file(
            parquet, self._reference.table(name), job_config=config
        )
        job.result(timeout=JOB_SECONDS)

    def _query(self, statement: str) -> list[Any]:
        return list(self._client.query(statement).result(timeout=JOB_SECONDS))

    def _exists(self, name: str) -> bool:
        try:
            self._client.get_table(self._reference.table(name))
        except NotFound:
            return False
        return True

    def _drop(self, name: str) -> None:
        self._client.delete_table(self._reference.table(name), not_found_ok=True)

    def _name(self, table: str) -> str:
        return f"`{self._reference.project}.{self._reference.dataset_id}.{table}`"
