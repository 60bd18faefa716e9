"""A chart as the SVG of a page, whatever texts are in it."""

import json
import re
from functools import lru_cache
from pathlib import Path

from flows.report.charts.axes import SERIES
from flows.report.charts.texts import StandIns
from flows.report.records import Chart, Spec

NARROW = 480
IDENTIFIER = re.compile(r'(id="|url\(#|href="#)')
NAMESPACES = re.compile(r' xmlns(?::\w+)?="[^"]*"')
# Room is measured for letters of this size, and the page draws them at 12: fonts differ in width.
MEASURED = 14
CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "gridColor": "var(--grid)",
        "domainColor": "var(--grid)",
        "tickColor": "var(--grid)",
        "labelFontSize": MEASURED,
        "titleFontSize": MEASURED,
        "titleFontWeight": "normal",
        "labelLimit": 0,
    },
    "legend": {
        "labelColor": "var(--ink)",
        "orient": "top",
        "title": None,
        "labelFontSize": MEASURED,
        "labelLimit": 0,
    },
    "bar": {"color": SERIES[0]},
    "line": {"color": SERIES[0], "strokeWidth": 2},
    "point": {"color": SERIES[0], "filled": True},
    "area": {"color": "var(--band)"},
    "rule": {"color": "var(--soft)"},
    "text": {"color": "var(--ink)"},
}
STYLE = Path(__file__).parents[1] / "templates" / "site.css"
FIRST_RULE = re.compile(r":root \{[^}]*\}")
ROOM = 12
LOWEST, ALONG_AN_AXIS = 60, 240
# Of names of rows and of columns: beside the rows; on a narrow drawing above each, for the whole
# width, and upright above the columns.
WIDE_NAMES: Spec = {
    "axisYDiscrete": {"labelPadding": 6},
    "axisTop": {"labelAngle": -30, "labelAlign": "left"},
}
NARROW_NAMES: Spec = {
    "axisYDiscrete": {"labelAlign": "left", "labelPadding": 0, "labelOffset": -17},
    "axisTop": {"labelAngle": -90, "labelAlign": "left", "labelBaseline": "middle"},
    "scale": {
        "barBandPaddingInner": 0.5,
        "rectBandPaddingInner": 0.5,
        "bandPaddingOuter": 0.5,
    },
}
WIDE_ROW, NARROW_ROW = 24, 40


def svg(chart: Chart, width: int, prefix: str) -> str:
    """The drawing for a page that holds several: its identifiers begin with a prefix of its own.

    Texts are put into the drawing afterwards. Some that people can write end the whole process in
    the library that draws, which measures them; it gets stand-ins of the same width.
    """
    is_wide = width > NARROW
    texts = StandIns(width)
    row = WIDE_ROW if is_wide else NARROW_ROW
    spec = texts.stand_in(chart.spec)
    spec |= {
        "width": width,
        "height": max(LOWEST, chart.rows * row) if chart.rows else ALONG_AN_AXIS,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": {
            **CONFIG,
            **(WIDE_NAMES if is_wide else NARROW_NAMES),
            "legend": {**CONFIG["legend"], "columns": texts.columns_of_legend()},
        },
    }
    drawn = _drawn(json.dumps(spec))
    return texts.put_back(IDENTIFIER.sub(rf"\g<1>{prefix}-", NAMESPACES.sub("", drawn)))


def standing_alone(chart: Chart, width: int) -> str:
    """The drawing as a document of its own, in the colours of the light page, whose ground it has:
    what shows it as an image gives it neither."""
    inner = svg(chart, width, "alone")
    wide, high = (int(float(each)) + 2 * ROOM for each in _size(inner))
    colours = FIRST_RULE.search(STYLE.read_text(encoding="utf-8"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">'
        f"<style>{colours[0] if colours else ''} text {{ font-size: 12px }}</style>"
        f'<rect width="100%" height="100%" rx="6" fill="var(--page)"/>'
        f'<g transform="translate({ROOM},{ROOM})">{inner}</g></svg>'
    )


def _size(drawn: str) -> tuple[str, str]:
    found = re.search(r'width="([\d.]+)" height="([\d.]+)"', drawn)
    return (found[1], found[2]) if found else ("0", "0")


@lru_cache(maxsize=256)
def _drawn(spec: str) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))
