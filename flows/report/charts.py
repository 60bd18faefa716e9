"""Charts as Vega-Lite specifications, drawn as SVG when the site is built.

Colours are CSS variables, so that one drawing serves light, dark and paper. Nothing is told by
colour alone: what stands out has a shape of its own, and every chart has its table beside it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from unicodedata import east_asian_width

from markupsafe import escape

from flows.report import words
from flows.report.records import Chart, Row, Spec

SERIES = tuple(f"var(--c{number})" for number in range(1, 7))
HEAT = tuple(f"var(--h{number})" for number in range(1, 6))
STATE_COLORS = {"Completed": "var(--c1)", "Failed": "var(--bad)", "Crashed": "var(--bad)"}
STATE_SHAPES = {"Completed": "circle", "Failed": "cross", "Crashed": "triangle-down"}
ROW_HEIGHT = 24
# Letters of a label, by whether the drawing is wide.
CHARACTERS = {True: 38, False: 16}
# What may hold texts from outside in a specification.
TEXTS = {"label", "across", "down", "part", "state", "title", "domain"}
STAND_IN = re.compile(r"Z\d{4}Zn*")
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
        "columns": 4,
    },
    "bar": {"color": SERIES[0]},
    "line": {"color": SERIES[0], "strokeWidth": 2},
    "point": {"color": SERIES[0], "filled": True},
    "area": {"color": "var(--band)"},
    "rule": {"color": "var(--soft)"},
    "text": {"color": "var(--ink)"},
}
NARROW_CONFIG: Spec = {**CONFIG, "legend": {**CONFIG["legend"], "columns": 2}}


def svg(chart: Chart, width: int, prefix: str) -> str:
    """The drawing for a page that holds several: its identifiers begin with a prefix of its own.

    Texts are put into the drawing afterwards. Some that people can write end the whole process in
    the library that draws, which measures them; it gets stand-ins of the same width.
    """
    texts = _StandIns(CHARACTERS[width > NARROW])
    spec = {
        **texts.stand_in(chart.spec),
        "width": width,
        "height": chart.height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG if width > NARROW else NARROW_CONFIG,
    }
    drawn = _drawn(json.dumps(spec))
    return texts.put_back(IDENTIFIER.sub(rf"\g<1>{prefix}-", NAMESPACES.sub("", drawn)))


@lru_cache(maxsize=256)
def _drawn(spec: str) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))


class _StandIns:
    """Plain words in the place of texts; equal ones for equal texts, in the order of the texts."""

    def __init__(self, most_characters: int) -> None:
        self._most = most_characters
        self._words: dict[str, str] = {}

    def stand_in(self, part: Any, key: str = "") -> Any:
        if isinstance(part, Mapping):
            return {name: self.stand_in(value, name) for name, value in part.items()}
        if isinstance(part, list | tuple):
            return [self.stand_in(value, key) for value in part]
        return self._word(part) if isinstance(part, str) and key in TEXTS else part

    def put_back(self, drawn: str) -> str:
        texts = {word: text for text, word in self._words.items()}
        return STAND_IN.sub(lambda found: str(escape(self._cut(texts[found[0]]))), drawn)

    def _word(self, text: str) -> str:
        if text not in self._words:
            cut = self._cut(text)
            width = sum(1 + (east_asian_width(each) in "WF") for each in cut)
            self._words[text] = f"Z{len(self._words):04}Z".ljust(width, "n")
        return self._words[text]

    def _cut(self, text: str) -> str:
        plain = words.visible(text)
        return plain if len(plain) <= self._most else f"{plain[: self._most - 1]}…"


def bars(
    rows: Sequence[Row], label: str, value: str, title: str, alternative: str, form: str = ",.0f"
) -> Chart:
    """One bar for each row, in the order of the rows."""
    values = [
        {"label": words.text(row[label]), "value": words.finite(row[value]), "at": place}
        for place, row in enumerate(rows)
    ]
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": _nominal("label", {"field": "at"}),
            "x": _number("value", title, form),
        },
    }
    return Chart(spec, alternative, _height(len({each["label"] for each in values})))


def columns(
    rows: Sequence[Row],
    start: str,
    kinds: Mapping[str, str],
    title: str,
    alternative: str,
    days: int = 1,
) -> Chart:
    """Stacked columns over time, as wide as their days: a part for each key, under its name."""
    values = [
        (row[start], name, words.finite(row[key]) or 0.0)
        for key, name in kinds.items()
        for row in rows
    ]
    return _stacked(values, list(kinds.values()), title, alternative, days)


def columns_of(
    rows: Sequence[Row],
    start: str,
    part: str,
    value: str,
    title: str,
    alternative: str,
    days: int = 1,
) -> Chart:
    """The same with a part for each value of a column, in the order of the rows."""
    values = [(row[start], words.text(row[part]), words.finite(row[value]) or 0.0) for row in rows]
    return _stacked(
        values, list(dict.fromkeys(each[1] for each in values)), title, alternative, days
    )


def _stacked(
    values: Sequence[tuple[date, str, float]],
    parts: Sequence[str],
    title: str,
    alternative: str,
    days: int,
) -> Chart:
    summed: dict[tuple[date, str], float] = {}
    for start, part, value in values:
        summed[start, part] = summed.get((start, part), 0.0) + value
    tops: dict[date, float] = {}
    drawn = []
    for (start, part), value in summed.items():
        low = tops.get(start, 0.0)
        tops[start] = low + value
        end = start + timedelta(days=days * 0.92) if days > 1 else start
        hours = timedelta(hours=22) if days == 1 else timedelta()
        moment = datetime(end.year, end.month, end.day) + hours
        drawn.append(
            {
                "start": start.isoformat(),
                "end": moment.isoformat() + "Z",
                "part": part,
                "low": low,
                "high": tops[start],
            }
        )
    scale = {"domain": list(parts), "range": list(SERIES)}
    legend = {} if len(parts) > 1 else {"legend": None}
    span = (max(tops) - min(tops)).days if tops else 0
    form = "%b %Y" if span > 200 else "%d %b"
    axis = {"format": form, "labelOverlap": True, "grid": False, "tickCount": 6}
    x = {"field": "start", "type": "temporal", "title": None, "scale": {"type": "utc"}}
    spec = {
        "data": {"values": drawn},
        "mark": {"type": "rect"},
        "encoding": {
            "x": {**x, "axis": axis},
            "x2": {"field": "end"},
            "y": _number("low", title, ",.0f"),
            "y2": {"field": "high"},
            "color": {"field": "part", "type": "nominal", "scale": scale, **legend},
        },
    }
    return Chart(spec, alternative)


def band(
    rows: Sequence[Row],
    day: str,
    value: str,
    low: str,
    high: str,
    title: str,
    alternative: str,
    form: str = ",.0f",
    flag: str | None = None,
    middle: str | None = None,
    is_time: bool = True,
) -> Chart:
    """A line within a band; flagged points are marked."""
    values = [
        {
            ("day" if is_time else "label"): words.text(row[day]),
            "value": words.finite(row[value]),
            "low": words.finite(row[low]),
            "high": words.finite(row[high]),
            "middle": words.finite(row[middle]) if middle else None,
            "flag": bool(flag and row[flag]),
        }
        for row in rows
    ]
    x = _time("day") if is_time else {"field": "label", "type": "ordinal", "title": None}
    y = _number("value", title, form) | {"scale": {"zero": False}}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "area", "color": "var(--band)"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {"mark": {"type": "line", "point": len(values) < 40}, "encoding": {"x": x, "y": y}},
    ]
    if middle:
        line = {"type": "line", "color": "var(--soft)", "strokeDash": [4, 3], "strokeWidth": 1.5}
        layers.append({"mark": line, "encoding": {"x": x, "y": {**y, "field": "middle"}}})
    if any(each["flag"] for each in values):
        mark = {"type": "point", "shape": "triangle-up", "size": 140, "color": "var(--bad)"}
        layers.append(
            {
                "transform": [{"filter": "datum.flag"}],
                "mark": {**mark, "filled": True, "stroke": "var(--page)", "strokeWidth": 1},
                "encoding": {"x": x, "y": y},
            }
        )
    return Chart({"data": {"values": values}, "layer": layers}, alternative)


def intervals(
    rows: Sequence[Row],
    label: str,
    value: str,
    low: str,
    high: str,
    title: str,
    alternative: str,
    reference: float | None = None,
    form: str = ".0%",
) -> Chart:
    """A point and its interval for each row; ``reference`` is a line to compare with."""
    values = [
        {
            "label": words.text(row[label]),
            "value": words.finite(row[value]),
            "low": words.finite(row[low]),
            "high": words.finite(row[high]),
            "at": place,
        }
        for place, row in enumerate(rows)
    ]
    y = _nominal("label", {"field": "at", "op": "min"})
    x = _number("value", title, form) | {"scale": {"zero": False}}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": SERIES[0], "opacity": 0.55},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {"mark": {"type": "point", "size": 80}, "encoding": {"y": y, "x": x}},
    ]
    if reference is not None:
        rule = {"type": "rule", "strokeDash": [4, 3]}
        layers.append(
            {"mark": rule, "encoding": {"x": {"datum": reference, "type": "quantitative"}}}
        )
    height = _height(len({each["label"] for each in values}))
    return Chart({"data": {"values": values}, "layer": layers}, alternative, height)


def heat(
    rows: Sequence[Row],
    across: str,
    down: str,
    value: str,
    steps: Sequence[float],
    alternative: str,
    form: str = ",.0f",
    has_values: bool = True,
) -> Chart:
    """A cell for each row, stronger by steps, with its value written in it where there is room."""
    values = [
        {
            "across": words.text(row[across]),
            "down": words.text(row[down]),
            "value": words.finite(row[value]),
            "at": place,
        }
        for place, row in enumerate(rows)
        if words.finite(row[value]) is not None
    ]
    x = {
        "field": "across",
        "type": "ordinal",
        "sort": None,
        "title": None,
        "axis": {"orient": "top", "labelAngle": -30, "labelAlign": "left"}
        if has_values
        else {"orient": "top", "labelAngle": 0, "labelOverlap": True},
    }
    y = _nominal("down", {"field": "at", "op": "min"})
    color = {
        "field": "value",
        "type": "quantitative",
        "scale": {"type": "threshold", "domain": list(steps), "range": list(HEAT)},
        "legend": None,
    }
    dark = f"datum.value >= {steps[2]}"
    ink = {"condition": {"test": dark, "value": "var(--on-heat)"}, "value": "var(--ink)"}
    written = {
        "mark": {"type": "text"},
        "encoding": {
            "text": {"field": "value", "type": "quantitative", "format": form},
            "color": ink,
        },
    }
    spec = {
        "data": {"values": values},
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "rect", "cornerRadius": 2}, "encoding": {"color": color}},
            *([written] if has_values else []),
        ],
    }
    return Chart(spec, alternative, _height(len({each["down"] for each in values}), 22))


def lorenz(rows: Sequence[Row], alternative: str) -> Chart:
    """Share of commits by share of people, beside the line of equality."""
    values = [
        {
            "people": words.finite(row["share_of_people"]),
            "commits": words.finite(row["share_of_commits"]),
        }
        for row in rows
    ]
    x = _number("people", "share of the people, those with the fewest commits first", ".0%")
    y = _number("commits", "share of the commits", ".0%")
    equality = [{"people": 0, "commits": 0}, {"people": 1, "commits": 1}]
    spec = {
        "layer": [
            {
                "data": {"values": equality},
                "mark": {"type": "line", "color": "var(--soft)", "strokeDash": [4, 3]},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"values": values},
                "mark": {"type": "area", "line": {"color": SERIES[0]}},
                "encoding": {"x": x, "y": y},
            },
        ]
    }
    return Chart(spec, alternative)


def parts(
    rows: Sequence[Row], label: str, kinds: Mapping[str, str], title: str, alternative: str
) -> Chart:
    """A stacked bar for each row, a part for each key under its name."""
    values = [
        {
            "label": words.text(row[label]),
            "part": name,
            "value": words.finite(row[key]),
            "at": place,
        }
        for row in rows
        for place, (key, name) in enumerate(kinds.items())
    ]
    colors = ["var(--c1)", "var(--c2)", "var(--bad)"]
    scale = {"domain": list(kinds.values()), "range": colors}
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "y": _nominal("label", None),
            "x": _number("value", title, ",.0f"),
            "color": {"field": "part", "type": "nominal", "scale": scale},
            "order": {"field": "at"},
        },
    }
    return Chart(spec, alternative, _height(len({each["label"] for each in values})))


def dots(rows: Sequence[Row], moment: str, label: str, state: str, alternative: str) -> Chart:
    """A mark for each row over time, by its state in shape and colour."""
    values = [
        {
            "moment": row[moment].isoformat(),
            "label": words.text(row[label]),
            "state": words.text(row[state]),
        }
        for row in sorted(rows, key=lambda row: words.text(row[label]))
    ]
    states = sorted(
        {each["state"] for each in values}, key=lambda each: (each != "Completed", each)
    )
    colors = [STATE_COLORS.get(each, "var(--c6)") for each in states]
    shapes = [STATE_SHAPES.get(each, "square") for each in states]
    spec = {
        "data": {"values": values},
        "mark": {"type": "point", "size": 90, "filled": True, "opacity": 0.85},
        "encoding": {
            "x": {
                "field": "moment",
                "type": "temporal",
                "title": None,
                "scale": {"type": "utc", "nice": True},
                "axis": {"format": "%d %b %H:%M", "labelOverlap": True, "tickCount": 5},
            },
            "y": _nominal("label", None),
            "color": {"field": "state", "scale": {"domain": states, "range": colors}},
            "shape": {"field": "state", "scale": {"domain": states, "range": shapes}},
        },
    }
    return Chart(spec, alternative, _height(len({each["label"] for each in values})))


def _height(rows: int, each: int = ROW_HEIGHT) -> int:
    return max(60, rows * each)


def _nominal(field: str, sort: Mapping[str, Any] | None) -> dict[str, Any]:
    axis = {"ticks": False, "domain": False, "labelPadding": 6}
    return {"field": field, "type": "nominal", "sort": sort, "title": None, "axis": axis}


def _number(field: str, title: str, form: str) -> dict[str, Any]:
    axis = {"format": form, "tickCount": 5, "domain": False}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis}


def _time(field: str, unit: str = "utcyearmonthdate") -> dict[str, Any]:
    form = "%b %Y" if unit == "utcyearmonth" else "%d %b"
    return {
        "field": field,
        "type": "temporal",
        "timeUnit": unit,
        "title": None,
        "scale": {"type": "utc"},
        "axis": {"format": form, "labelOverlap": True, "grid": False, "tickCount": 6},
    }
