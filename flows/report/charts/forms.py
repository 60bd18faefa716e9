"""Forms without time: who has how much, and how sure that is."""

from collections.abc import Mapping, Sequence

from flows.report import words
from flows.report.charts.axes import HEAT, SERIES, names, nominal, number
from flows.report.records import Chart, Row, Spec

# A name of so many letters stands above its column as it is.
SHORT = 3


def bars(
    rows: Sequence[Row], label: str, value: str, title: str, alternative: str, form: str = ",.0f"
) -> Chart:
    """One bar for each row, in the order of the rows."""
    values = [
        {"label": name, "value": words.finite(row[value]), "at": place}
        for place, (name, row) in enumerate(zip(names(rows, label), rows, strict=True))
    ]
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": nominal("label", {"field": "at"}),
            "x": number("value", title, form),
        },
    }
    return Chart(spec, alternative, len(values))


def pareto(
    rows: Sequence[Row], label: str, value: str, share: str, title: str, alternative: str
) -> Chart:
    """One bar for each row, and a line of the share that it has with those above it."""
    values = [
        {
            "label": name,
            "value": words.finite(row[value]),
            "share": words.finite(row[share]),
            "at": place,
        }
        for place, (name, row) in enumerate(zip(names(rows, label), rows, strict=True))
    ]
    y = nominal("label", {"field": "at", "op": "min"})
    of_all = number("share", "cumulated share", ".0%")
    of_all |= {"scale": {"domain": [0, 1]}, "axis": {**of_all["axis"], "orient": "top"}}
    # Names of columns stand upright at the top; these are numbers.
    of_all["axis"] |= {"grid": False, "labelAngle": 0, "labelAlign": "center"}
    of_all["axis"] |= {"labelBaseline": "bottom"}
    spec = {
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 2},
                "encoding": {"y": y, "x": number("value", title, ",.0f")},
            },
            {
                "mark": {"type": "line", "color": SERIES[1], "point": {"color": SERIES[1]}},
                "encoding": {"y": y, "x": of_all, "order": {"field": "at"}},
            },
        ],
        "resolve": {"scale": {"x": "independent"}},
    }
    return Chart(spec, alternative, len(values))


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
            "label": name,
            "value": words.finite(row[value]),
            "low": words.finite(row[low]),
            "high": words.finite(row[high]),
            "at": place,
        }
        for place, (name, row) in enumerate(zip(names(rows, label), rows, strict=True))
    ]
    y = nominal("label", {"field": "at", "op": "min"})
    x = number("value", title, form) | {"scale": {"zero": False}}
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
    return Chart({"data": {"values": values}, "layer": layers}, alternative, len(values))


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
    """A cell for each row, stronger by steps, with its value written in it where there is room.

    Two of one place stay two: the name of the second, across, gets a number.
    """
    lines: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        lines.setdefault(words.text(row[down]), []).append(place)
    called = {
        place: name
        for line in lines.values()
        for place, name in zip(line, names([rows[at] for at in line], across), strict=True)
    }
    values = [
        {
            "across": called[place],
            "down": words.text(row[down]),
            "value": words.finite(row[value]),
            "at": place,
        }
        for place, row in enumerate(rows)
        if words.finite(row[value]) is not None
    ]
    names_fit = all(len(words.text(row[across])) <= SHORT for row in rows)
    level = {"labelAngle": 0, "labelAlign": "center", "labelOverlap": True}
    x = {
        "field": "across",
        "type": "ordinal",
        "sort": None,
        "title": None,
        "axis": {"orient": "top", **(level if names_fit else {})},
        "scale": {"padding": 0},
    }
    y = nominal("down", {"field": "at", "op": "min"})
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
    return Chart(spec, alternative, len({each["down"] for each in values}))


def lorenz(rows: Sequence[Row], alternative: str) -> Chart:
    """Share of commits by share of people, beside the line of equality."""
    values = [
        {
            "people": words.finite(row["share_of_people"]),
            "commits": words.finite(row["share_of_commits"]),
        }
        for row in rows
    ]
    x = number("people", "share of the people, those with the fewest commits first", ".0%")
    y = number("commits", "share of the commits", ".0%")
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
    rows: Sequence[Row],
    label: str,
    kinds: Mapping[str, str],
    title: str,
    alternative: str,
    is_in_order: bool = False,
) -> Chart:
    """A stacked bar for each row, a part for each key under its name.

    Args:
        is_in_order: bars are in the order of the rows, else in that of their names.
    """
    called = names(rows, label) if is_in_order else [words.text(row[label]) for row in rows]
    values = [
        {
            "label": called[line],
            "part": name,
            "value": words.finite(row[key]),
            "at": place,
            "line": line,
        }
        for line, row in enumerate(rows)
        for place, (key, name) in enumerate(kinds.items())
    ]
    colors = ["var(--c1)", "var(--c2)", "var(--bad)"]
    scale = {"domain": list(kinds.values()), "range": colors}
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "y": nominal("label", {"field": "line", "op": "min"} if is_in_order else None),
            "x": number("value", title, ",.0f"),
            "color": {"field": "part", "type": "nominal", "scale": scale},
            "order": {"field": "at"},
        },
    }
    return Chart(spec, alternative, len({each["label"] for each in values}))


def waterfall(
    rows: Sequence[Row], label: str, value: str, whole: float, title: str, alternative: str
) -> Chart:
    """A bar for each row that begins where the one before it ends, and one of the whole."""
    values = []
    reached = 0.0
    for place, (name, row) in enumerate(zip(names(rows, label), rows, strict=True)):
        added = words.finite(row[value]) or 0.0
        part = "adds" if added >= 0 else "takes off"
        values.append(
            {"label": name, "low": reached, "high": reached + added, "part": part, "at": place}
        )
        reached += added
    total = {"label": "the whole", "low": 0.0, "high": whole, "part": "the whole"}
    values.append({**total, "at": len(values)})
    kinds = [each for each in ("adds", "takes off", "the whole") if each in map(_part, values)]
    colors = {"adds": SERIES[0], "takes off": SERIES[1], "the whole": SERIES[5]}
    scale = {"domain": kinds, "range": [colors[each] for each in kinds]}
    spec = {
        "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "y": nominal("label", {"field": "at", "op": "min"}),
            "x": number("low", title, ",.3~f"),
            "x2": {"field": "high"},
            "color": {"field": "part", "type": "nominal", "scale": scale},
        },
    }
    return Chart(spec, alternative, len(values))


def _part(value: Mapping[str, object]) -> object:
    return value["part"]
