"""What a dashboard is made of, before it is Grafana's."""

from dataclasses import dataclass
from enum import StrEnum


class Adapter(StrEnum):
    """Where a panel's SQL runs; the value is the type of Grafana's data source."""

    POSTGRES = "grafana-postgresql-datasource"
    BIGQUERY = "grafana-bigquery-datasource"
    DUCKDB = "motherduck-duckdb-datasource"


class Kind(StrEnum):
    STAT = "stat"
    TIME_SERIES = "timeseries"
    BARS = "barchart"
    TABLE = "table"


@dataclass(frozen=True)
class Source:
    """A data source as ``provisioning/datasources`` has it.

    Args:
        uid: by which dashboards find it.
        schema: of the models, as its SQL writes it.
    """

    uid: str
    adapter: Adapter
    schema: str

    def relation(self, model: str) -> str:
        name = f"{self.schema}.{model}"
        return f"`{name}`" if self.adapter is Adapter.BIGQUERY else name


@dataclass(frozen=True)
class Panel:
    """One question. ``sql`` names models as ``{rpt_x}``; a time series has its time as ``time``.

    Args:
        description: what the figure means, which the panel shows on its corner.
        unit: one of Grafana's units; empty for plain numbers.
        source: of this panel alone, where it is not the dashboard's.
        bad_from: from this value on it is shown as bad.
    """

    title: str
    description: str
    kind: Kind
    sql: str
    unit: str = ""
    width: int = 12
    source: Source | None = None
    bad_from: float | None = None


@dataclass(frozen=True)
class Board:
    """A dashboard by its uid, which is the name of its file, too; of one data source or several."""

    uid: str
    title: str
    description: str
    source: Source
    panels: tuple[Panel, ...]
    past: str = "now-90d"
