"""Which columns the source of each copy had at its last export, kept beside the copies.

What was left out may be there again under another name, and what has left cannot be taken back:
an export compares before it sends.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Self

import psycopg
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from psycopg import sql

from flows._shared.bigquery_export.columns import MEMORY, private_columns
from flows._shared.bigquery_export.errors import ExportSourceError
from flows._shared.bigquery_export.records import CopiedTable

SCHEMA = (
    bigquery.SchemaField("table_name", "STRING", description="The copied table."),
    bigquery.SchemaField(
        "relation",
        "INTEGER",
        description="Its oid on PostgreSQL: another once the table was made anew.",
    ),
    bigquery.SchemaField(
        "numbers",
        "STRING",
        description="JSON: PostgreSQL's number of each column by name; a renamed one keeps it.",
    ),
    bigquery.SchemaField(
        "excluded",
        "STRING",
        description="JSON: the columns of these that were not copied, by name with what each is "
        "computed from.",
    ),
    bigquery.SchemaField("exported_at", "TIMESTAMP", description="When an export saw them, UTC."),
)
LOAD_SECONDS = 300.0


@dataclass(frozen=True)
class SourceColumns:
    """``numbers`` are PostgreSQL's of each column by name, ``excluded`` those that stay there, with
    the excluded ones that each is computed from."""

    relation: int
    numbers: Mapping[str, int]
    excluded: Mapping[str, Collection[str]]

    @classmethod
    def read(cls, connection: psycopg.Connection, table: CopiedTable) -> Self:
        """Those of the table as it is now."""
        found = connection.execute(
            "select attrelid::bigint, attname, attnum from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [sql.Identifier(table.schema, table.name).as_string(connection)],
        ).fetchall()
        numbers = {name: number for _, name, number in found}
        relation = found[0][0] if found else 0
        return cls(relation, numbers, private_columns(connection, table))

    def gone(self, now: Self, excluded: Collection[str]) -> list[str]:
        """The columns left out here that ``now`` has no longer, or under a name not excluded."""
        names = {number: name for name, number in now.numbers.items()} if self._is(now) else {}
        wanted = {name.lower() for name in excluded}
        called = {
            name: names.get(self.numbers[name]) for name in self.excluded if name.lower() in wanted
        }
        return sorted(
            name
            for name, other in called.items()
            if (other not in now.excluded if other else name not in now.numbers)
        )

    def freed(self, now: Self, excluded: Collection[str]) -> list[str]:
        """The columns that ``now`` has copied, in whose values those of an excluded one are since
        they were computed from it."""
        names = {number: name for name, number in (now if self._is(now) else self).numbers.items()}
        wanted = {name.lower() for name in excluded}
        called = {
            names.get(self.numbers[name], "")
            for name, origins in self.excluded.items()
            if wanted.intersection(origin.lower() for origin in origins)
        }
        return sorted(called & set(now.numbers) - set(now.excluded))

    def new(self, now: Self) -> list[str]:
        """The columns that ``now`` has copied and that were not there, or may be another column:
        any of them in a table that was made anew."""
        return [
            name
            for name, number in now.numbers.items()
            if name not in now.excluded and not (self._is(now) and self.numbers.get(name) == number)
        ]

    def _is(self, now: Self) -> bool:
        return self.relation == now.relation


class ColumnMemory:
    """The table ``export_columns`` of a dataset: a row whenever the columns of a source changed.

    It is read and written without queries, which BigQuery bills by 10 MB at least.
    """

    def __init__(self, client: bigquery.Client, dataset: bigquery.DatasetReference) -> None:
        self._client = client
        self._table = dataset.table(MEMORY)
        self._newest = datetime.min.replace(tzinfo=UTC)

    def last(self, table: CopiedTable) -> SourceColumns | None:
        """What the last export of the table saw; None if there was none."""
        self._newest = datetime.min.replace(tzinfo=UTC)
        try:
            kept = [
                row
                for row in self._client.list_rows(self._table, selected_fields=SCHEMA)
                if row["table_name"] == table.name
            ]
        except NotFound:
            return None
        if not kept:
            return None
        row = max(kept, key=lambda row: row["exported_at"])
        self._newest = row["exported_at"]
        kept_back = json.loads(row["excluded"])
        # Once they were kept without what they are computed from.
        origins = kept_back if isinstance(kept_back, dict) else dict.fromkeys(kept_back, ())
        excluded = {name: tuple(each) for name, each in origins.items()}
        return SourceColumns(row["relation"], json.loads(row["numbers"]), excluded)

    def keep(self, table: CopiedTable, columns: SourceColumns) -> None:
        """Remember what an export sees that has asked for the `last` one."""
        # A clock that was ahead must not outlive its own time.
        seen_at = max(datetime.now(UTC), self._newest + timedelta(microseconds=1))
        row = {
            "table_name": table.name,
            "relation": columns.relation,
            "numbers": json.dumps(columns.numbers),
            "excluded": json.dumps(dict(columns.excluded), sort_keys=True),
            "exported_at": seen_at.isoformat(),
        }
        config = bigquery.LoadJobConfig(
            schema=SCHEMA,
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        )
        lines = BytesIO(json.dumps(row).encode())
        job = self._client.load_table_from_file(lines, self._table, job_config=config)
        job.result(timeout=LOAD_SECONDS)


def refuse_renamed(table: CopiedTable, before: SourceColumns, now: SourceColumns) -> None:
    """Raises ExportSourceError if a column that was left out may be there under another name, or
    one that was computed from it is so no longer."""
    if freed := before.freed(now, table.excluded):
        named = ", ".join(freed)
        raise ExportSourceError(
            f"exporting {table} to BigQuery",
            f"{named} was computed from a column that the setting excludes, and is no longer: its "
            "values may be those of before",
            f"Exclude {named}, too; or, once nothing private is in it, delete the rows of "
            f"{table.name} from {MEMORY} beside the copy",
        )
    gone, new = before.gone(now, table.excluded), before.new(now)
    if gone and new:
        left_out, named = ", ".join(gone), ", ".join(new)
        raise ExportSourceError(
            f"exporting {table} to BigQuery",
            f"{left_out}, which the setting excludes, is gone and {named} is new: "
            "it may be the same under another name",
            f"Exclude {named}, too, if it is; else take {left_out} out of the setting, where no "
            "other table has it",
        )
