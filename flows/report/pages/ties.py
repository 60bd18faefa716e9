"""Who or what comes first: one, or several with as many."""

from collections.abc import Sequence

from flows.report.records import Row


def first_of(rows: Sequence[Row], column: str) -> list[Row]:
    """Those of the sorted rows that share the first place."""
    return [row for row in rows if row[column] == rows[0][column]]
