"""Forms along time."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from flows.report import words
from flows.report.charts.axes import SERIES, nominal, number, time
from flows.report.records import Chart, Row, Spec

DAYS_OF_MONTH = 28
STATE_COLORS = {"Completed": "var(--c1)", "Failed": "var(--bad)", "Crashed": "var(--bad)"}
STATE_SHAPES = {"Completed": "circle", "Failed": "cross", "Crashed": "triangle-down"}


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
    if len(tops) == 1:
        (start,) = tops
        label = f"{start:%b %Y}" if days >= DAYS_OF_MONTH else f"{start:%d %b}"
        return _of_one_time(drawn, label, parts, title, alternative)
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
            "y": number("low", title, ",.0f"),
            "y2": {"field": "high"},
            "color": _parts(parts),
        },
    }
    return Chart(spec, alternative)


def _of_one_time(
    drawn: Sequence[Row], label: str, parts: Sequence[str], title: str, alternative: str
) -> Chart:
    """A single column: along time it would fill the picture, days that have not come included."""
    spec = {
        "data": {"values": [{**each, "label": label} for each in drawn]},
        "mark": {"type": "bar", "size": 48},
        "encoding": {
            "x": {"field": "label", "type": "nominal", "title": None, "axis": {"labelAngle": 0}},
            "y": number("low", title, ",.0f"),
            "y2": {"field": "high"},
            "color": _parts(parts),
        },
    }
    return Chart(spec, alternative)


def _parts(parts: Sequence[str]) -> Spec:
    scale = {"domain": list(parts), "range": list(SERIES)}
    legend = {} if len(parts) > 1 else {"legend": None}
    return {"field": "part", "type": "nominal", "scale": scale, **legend}


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
    days: int | None = None,
) -> Chart:
    """A line within a band; flagged points are marked.

    Args:
        days: from a row to the next; where more lie between two, there is a gap.
    """
    values: list[dict[str, Any]] = [
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
    _number_stretches(values, [row[day] for row in rows], days)
    x = time("day") if is_time else {"field": "label", "type": "ordinal", "title": None}
    y = number("value", title, form) | {"scale": {"zero": False}}
    stretch = {"field": "stretch"}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "area", "color": "var(--band)"},
            "encoding": {
                "x": x,
                "y": {**y, "field": "low"},
                "y2": {"field": "high"},
                "detail": {"field": "banded"},
            },
        },
        {
            "mark": {"type": "line", "point": len(values) < 40 or _has_lone_point(values)},
            "encoding": {"x": x, "y": y, "detail": stretch},
        },
    ]
    if middle:
        line = {"type": "line", "color": "var(--soft)", "strokeDash": [4, 3], "strokeWidth": 1.5}
        encoding = {"x": x, "y": {**y, "field": "middle"}, "detail": stretch}
        layers.append({"mark": line, "encoding": encoding})
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


def _number_stretches(
    values: list[dict[str, Any]], starts: Sequence[date], days: int | None
) -> None:
    """What is drawn in one go: a line ends at a gap in time, its band where it has none, too."""
    stretch = banded = 0
    for place, each in enumerate(values):
        if days and place and (starts[place] - starts[place - 1]).days > days:
            stretch += 1
            banded += 1
        if each["low"] is None or each["high"] is None:
            banded += 1
        each |= {"stretch": stretch, "banded": banded}


def _has_lone_point(values: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a point has a gap on both sides: a line alone would not show it."""
    drawn = [None if each["value"] is None else each["stretch"] for each in values]
    beside = zip([None, *drawn], [*drawn[1:], None], strict=False)
    return any(at is not None and at not in near for at, near in zip(drawn, beside, strict=True))


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
            "y": nominal("label", None),
            "color": {"field": "state", "scale": {"domain": states, "range": colors}},
            "shape": {"field": "state", "scale": {"domain": states, "range": shapes}},
        },
    }
    return Chart(spec, alternative, len({each["label"] for each in values}))


def spans(
    rows: Sequence[Row], start: str, end: str, label: str, state: str, alternative: str
) -> Chart:
    """A bar from start to end for each row, marked at its start by its state as `dots` are."""
    marked = dots(rows, start, label, state, alternative)
    bars = [
        {
            "from": row[start].isoformat(),
            "to": row[end].isoformat(),
            "label": words.text(row[label]),
            "state": words.text(row[state]),
        }
        for row in sorted(rows, key=lambda row: words.text(row[label]))
        if row[end]
    ]
    encoding = marked.spec["encoding"]
    layers = [
        {
            "data": {"values": bars},
            "mark": {"type": "bar", "height": 6, "opacity": 0.5},
            "encoding": {
                "x": {**encoding["x"], "field": "from"},
                "x2": {"field": "to"},
                "y": encoding["y"],
                "color": encoding["color"],
            },
        },
        {key: marked.spec[key] for key in ("data", "mark", "encoding")},
    ]
    return Chart({"layer": layers}, alternative, marked.rows)
