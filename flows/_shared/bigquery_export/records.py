"""What is copied, and what an export or a comparison found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from psycopg import sql

from flows._shared.counted import counted


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
        cluster_by: columns the copy is clustered by. It is partitioned by month of
            ``change`` where that is an instant or a day.
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
    """``kind`` is the type on BigQuery, as its API names it; ``source`` the name on PostgreSQL,
    whose texts ``has_no_encoding`` where its database says SQL_ASCII: they may be any bytes.
    ``is_jsonb`` where it has no text of its own, but is written as one."""

    name: str
    kind: str
    source: str = ""
    has_no_encoding: bool = False
    is_jsonb: bool = False

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.source or self.name)


@dataclass(frozen=True)
class ExportCounts:
    """``rows`` were sent, ``changed`` of them written, ``deleted`` removed; ``total`` are there.

    ``nulled`` are the values of each column that BigQuery has no form for, and that differ there;
    ``nulled_keys`` the keys of the first rows with one, by column. ``emptied`` are columns that the
    source has no longer, or that are excluded now, and whose values went from the copy. ``unkeyed``
    rows are not copied: their key is NULL, or BigQuery has no form for it; ``unkeyed_keys`` are the
    first of them. ``unplaced`` columns are not copied: another has their name on BigQuery.
    """

    table: str
    rows: int
    changed: int
    deleted: int
    total: int
    seconds: float
    nulled: Mapping[str, int] = field(default_factory=dict)
    nulled_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    emptied: Sequence[str] = ()
    unkeyed: int = 0
    unkeyed_keys: Sequence[str] = ()
    unplaced: Sequence[str] = ()

    @property
    def remark(self) -> str | None:
        """What a person should know of the copy; None where it says all that the table does."""
        remarks = []
        if self.nulled:
            listed = ", ".join(
                f"{number} of {column} (key {' | '.join(self.nulled_keys[column])})"
                for column, number in self.nulled.items()
            )
            remarks.append(f"BigQuery has no form for some values, which differ there: {listed}")
        if self.unkeyed:
            remarks.append(
                f"{counted(self.unkeyed, 'row')} not copied, for BigQuery has no form for the key: "
                + " | ".join(self.unkeyed_keys)
            )
        if self.unplaced:
            remarks.append(
                "columns not copied, for another has their name on BigQuery (rename them in a view "
                "and export that, or exclude them): " + ", ".join(self.unplaced)
            )
        if self.emptied:
            remarks.append(
                "emptied in the copy, for the source has it no longer or the setting excludes it: "
                + ", ".join(self.emptied)
            )
        return f"{self.table}: {'; '.join(remarks)}" if remarks else None


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
            f"{self.table} has {counted(self.source_rows, 'row')} on PostgreSQL and "
            f"{self.copy_rows} on BigQuery, and {self.differing_parts} of 256 parts are not equal"
        )


# Rows and sum of their hashes, by the first byte of the hash of their key.
Fingerprint = Mapping[str, tuple[int, int]]
Change = datetime | date | int
