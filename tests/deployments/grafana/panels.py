"""Panels as Grafana would ask for them: the SQL of the committed files, its macros expanded."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "deployments" / "grafana"
DASHBOARDS = FOLDER / "dashboards"
TIME_FILTER = re.compile(r"\$__timeFilter\(((?:[^()]|\([^()]*\))*)\)")
NUMBERS = (int, float, Decimal)
Query = Callable[[str], Sequence[Sequence[Any]]]

POSTGRES, BIGQUERY, DUCKDB = (
    "grafana-postgresql-datasource",
    "grafana-bigquery-datasource",
    "motherduck-duckdb-datasource",
)


@dataclass(frozen=True)
class Asked:
    """One query of a panel."""

    file: str
    title: str
    adapter: str
    uid: str
    kind: str
    sql: str

    def expanded(self, start: datetime, end: datetime) -> str:
        """As the plugins of the data sources expand Grafana's macros.

        PostgreSQL's and BigQuery's filter is `between`, DuckDB's two comparisons.
        """

        def written(found: re.Match[str]) -> str:
            column, low, high = found[1], *(f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (start, end))
            if self.adapter == BIGQUERY:
                return f"{column} BETWEEN TIMESTAMP('{low}') AND TIMESTAMP('{high}')"
            if self.adapter == DUCKDB:
                return f"{column} >= '{low}' AND {column} <= '{high}'"
            return f"{column} BETWEEN '{low}' AND '{high}'"

        sql = TIME_FILTER.sub(written, self.sql)
        assert "$" not in sql, f"{self.file}, {self.title}: a macro that no plugin knows"
        return sql


def asked() -> Iterator[Asked]:
    """Every query of every committed dashboard."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                source = target["datasource"]
                yield Asked(
                    path.name,
                    panel["title"],
                    source["type"],
                    source["uid"],
                    panel["type"],
                    target["rawSql"],
                )


def assert_panels_answer(uid: str, query: Query, *, may_be_empty: bool = False) -> int:
    """Ask all that is asked of a data source; each answer has the shape that its panel draws.

    Args:
        uid: of the data source.
        query: runs SQL on a built database and returns its rows.
        may_be_empty: of tables that hold nothing, only the shape is known.

    Returns:
        How many panels had rows.
    """
    mine = [each for each in asked() if each.uid == uid]
    assert mine, f"no panel asks {uid}"
    filled = 0
    for each in mine:
        rows = query(each.expanded(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) + YEAR))
        filled += bool(rows)
        for row in rows:
            _assert_drawn(each, row)
    assert may_be_empty or filled > len(mine) / 2, f"most panels of {uid} are empty"
    return filled


YEAR = timedelta(days=366)


def _assert_drawn(each: Asked, row: Sequence[Any]) -> None:
    where = f"{each.file}, {each.title}"
    if each.kind == "timeseries":
        assert isinstance(row[0], datetime | date), where
        values = [value for value in row[1:] if value is not None and not isinstance(value, str)]
        assert all(isinstance(value, NUMBERS) for value in values), where
    elif each.kind == "barchart":
        assert isinstance(row[0], str), where
        assert isinstance(row[1], NUMBERS), where
    elif each.kind == "stat":
        assert len(row) == 1, where
