"""What the forms share: colours, axes, and the height of rows."""

from collections.abc import Mapping
from typing import Any

SERIES = tuple(f"var(--c{number})" for number in range(1, 7))
HEAT = tuple(f"var(--h{number})" for number in range(1, 6))
ROW_HEIGHT = 24


def height_of(rows: int, each: int = ROW_HEIGHT) -> int:
    return max(60, rows * each)


def nominal(field: str, sort: Mapping[str, Any] | None) -> dict[str, Any]:
    axis = {"ticks": False, "domain": False, "labelPadding": 6}
    return {"field": field, "type": "nominal", "sort": sort, "title": None, "axis": axis}


def number(field: str, title: str, form: str) -> dict[str, Any]:
    axis = {"format": form, "tickCount": 5, "domain": False}
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
