"""What a result is told by when its types are shared: the same as dbt tells by itself."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from dbt_common.clients import agate_helper

from flows._shared.orchestration.dbt_tables import column_types_made_once

Rows = Sequence[Mapping[str, Any]]
RESULTS: list[Rows] = [
    [],
    [{"name": "null", "amount": Decimal("1.50"), "note": ""}],
    [{"name": "005", "day": date(2026, 11, 1), "at": datetime(2026, 11, 1, 12)}],
    [{"is_new": True, "count": 3, "tags": ["a", 1]}, {"is_new": None, "count": 4, "tags": None}],
    [{"day": "2026-11-01", "at": "2026-11-01 12:00:00", "number": "7"}],
]


def told(rows: Rows) -> list[Any]:
    names = list(rows[0]) if rows else []
    flat = agate_helper.table_from_data_flat(rows, names)
    data = agate_helper.table_from_data(rows, names)
    empty = agate_helper.empty_table()
    return [
        [[type(each).__name__ for each in table.column_types], [list(row) for row in table.rows]]
        for table in (flat, data, empty)
    ]


@pytest.mark.parametrize("rows", RESULTS)
def test_a_result_has_the_types_and_values_that_dbt_gives_it(rows: Rows) -> None:
    before = told(rows)
    with column_types_made_once():
        assert told(rows) == before
    assert told(rows) == before


def test_results_share_their_types() -> None:
    with column_types_made_once():
        one, two = (agate_helper.build_type_tester({"name"}, ()) for _ in range(2))
        assert one._possible_types is two._possible_types
