"""The types that dbt tells columns of results by, made once.

dbt makes seven for each result of a statement, and each of two of them makes a calendar of its own
that nothing asks: a tenth of the Python time of a build of small tables. This may go once dbt keeps
them, as it does for results without text.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import agate  # type: ignore[import-untyped]
from dbt_common.clients import agate_helper

build_type_tester = agate_helper.build_type_tester


def _type_tester(
    text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")
) -> agate.TypeTester:
    """In place of the function of dbt: the same tester, of types that it shares with others."""
    nulls = None if string_null_values is None else tuple(string_null_values)
    types, text = _types(nulls)
    return agate.TypeTester(force=dict.fromkeys(text_columns, text), types=types)


@cache
def _types(nulls: tuple[str, ...] | None) -> tuple[list[agate.DataType], agate.DataType]:
    types = build_type_tester((), nulls)._possible_types
    return types, types[-1]


def _empty_table() -> agate.Table:
    return agate.Table(rows=[], column_types=agate_helper.DEFAULT_TYPE_TESTER)


@contextmanager
def column_types_made_once() -> Iterator[None]:
    """While it lasts, results share their types."""
    before = agate_helper.empty_table
    agate_helper.build_type_tester = _type_tester
    agate_helper.empty_table = _empty_table
    try:
        yield
    finally:
        agate_helper.build_type_tester = build_type_tester
        agate_helper.empty_table = before
