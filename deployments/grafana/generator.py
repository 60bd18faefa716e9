"""From boards to Grafana's JSON, by the builders of Grafana's own SDK."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from grafana_foundation_sdk.builders import barchart, dashboard, stat, table, timeseries
from grafana_foundation_sdk.cog import builder as cog_builder
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from deployments.grafana import bigquery, domains, operations
from deployments.grafana.records import Board, Kind, Panel, Source

BOARDS = (*domains.BOARDS, *bigquery.BOARDS, operations.BOARD)
NAMED = re.compile(r"\{(\w+)\}")
HEIGHT = {Kind.STAT: 4}
BUILDERS: Mapping[Kind, Any] = {
    Kind.STAT: stat.Panel,
    Kind.TIME_SERIES: timeseries.Panel,
    Kind.BARS: barchart.Panel,
    Kind.TABLE: table.Panel,
}


class SqlQuery(variants.Dataquery):
    """A query of a SQL data source in its code editor: the SDK has none for PostgreSQL."""

    def __init__(self, source: Source, sql: str, kind: Kind) -> None:
        self.source, self.sql, self.kind = source, sql, kind

    def to_json(self) -> dict[str, object]:
        is_series = self.kind is Kind.TIME_SERIES
        # BigQuery's plugin numbers its formats, the others name them.
        formats = (0, 1) if self.source.adapter.name == "BIGQUERY" else ("time_series", "table")
        return {
            "refId": "A",
            "datasource": {"type": self.source.adapter.value, "uid": self.source.uid},
            "editorMode": "code",
            "rawQuery": True,
            "rawSql": self.sql,
            "format": formats[0] if is_series else formats[1],
        }


class _Target(cog_builder.Builder[variants.Dataquery]):
    def __init__(self, query: SqlQuery) -> None:
        self._query = query

    def build(self) -> variants.Dataquery:
        return self._query


def sql_of(panel: Panel, source: Source) -> str:
    """The SQL with the relations of a data source."""
    return NAMED.sub(lambda found: (panel.source or source).relation(found[1]), panel.sql)


def files() -> Iterator[tuple[str, str]]:
    """Every dashboard as the name and the text of its file."""
    for board in BOARDS:
        yield f"{board.uid}.json", _text(board)


def _text(board: Board) -> str:
    made = (
        dashboard.Dashboard(board.title)
        .uid(f"analytics-{board.uid}")
        .description(board.description)
        .tags(["analytics-flows"])
        .timezone("utc")
        .time(board.past, "now")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
    )
    for panel in board.panels:
        made = made.with_panel(_panel(panel, board.source))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _panel(panel: Panel, default: Source) -> cog_builder.Builder[models.Panel]:
    source = panel.source or default
    reference = models.DataSourceRef(type_val=source.adapter.value, uid=source.uid)
    steps = [models.Threshold(value=None, color="text")]
    if panel.bad_from is not None:
        steps.append(models.Threshold(value=panel.bad_from, color="red"))
    made = (
        BUILDERS[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .datasource(reference)
        .span(panel.width)
        .height(HEIGHT.get(panel.kind, 9))
        .with_target(_Target(SqlQuery(source, sql_of(panel, default), panel.kind)))
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    )
    drawn: cog_builder.Builder[models.Panel] = made.unit(panel.unit) if panel.unit else made
    return drawn
