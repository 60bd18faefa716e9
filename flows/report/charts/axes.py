"""What the forms share: colours and axes."""

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from flows.report import words
from flows.report.records import Row

SERIES = tuple(f"var(--c{number})" for number in range(1, 7))
HEAT = tuple(f"var(--h{number})" for number in range(1, 6))


def names(rows: Sequence[Row], label: str) -> list[str]:
    """What the rows are called. A name that is taken gets a number: two of one name stay two."""
    taken: dict[str, None] = {}
    for row in rows:
        name = words.text(row[label])
        numbered = (f"{name} ({number})" for number in count(2))
        taken[next(each for each in chain([name], numbered) if each not in taken)] = None
    return list(taken)


def nominal(field: str, sort: Mapping[str, Any] | None) -> dict[str, Any]:
    axis = {"ticks": False, "domain": False}
    return {"field": field, "type": "nominal", "sort": sort, "title": None, "axis": axis}


def number(field: str, title: str, form: str) -> dict[str, Any]:
    overlap = {"labelOverlap": True, "labelSeparation": 8}
    axis = {"format": form, "tickCount": 5, "domain": False, **overlap}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis}


def time(field: str, unit: str = "utcyearmonthdate") -> dict[str, Any]:
    form = "%b %Y" if unit == "utcyearmonth" else "%d %b"
    return {
        "field": field,
        "type": "temporal",
        "timeUnit": unit,
        "title": None,
        "scale": {"type": "utc"},
        "axis": {"format": form, "labelOverlap": True, "grid": False, "tickCount": 6},
    }
