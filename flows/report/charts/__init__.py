"""Charts as Vega-Lite specifications, drawn as SVG when the site is built.

Colours are CSS variables, so that one drawing serves light, dark and paper. Nothing is told by
colour alone: what stands out has a shape of its own, and every chart has its table beside it.
"""

from flows.report.charts.drawing import standing_alone, svg
from flows.report.charts.forms import bars, heat, intervals, lorenz, pareto, parts, waterfall
from flows.report.charts.times import band, columns, columns_of, dots, spans

__all__ = [
    "band",
    "bars",
    "columns",
    "columns_of",
    "dots",
    "heat",
    "intervals",
    "lorenz",
    "pareto",
    "parts",
    "spans",
    "standing_alone",
    "svg",
    "waterfall",
]
