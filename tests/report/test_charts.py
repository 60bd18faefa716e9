"""Drawings: what is named in them is named whole, on a phone, too."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.report import charts
from flows.report.records import Chart
from flows.report.render import NARROW, WIDE

NAME = "Riverbend General Hospital 16 (160001)"
OTHER = "Share of readmissions within 30 days"
ROW: dict[str, Any] = {"name": NAME, "other": OTHER, "value": 5, "low": 4, "high": 6}
MOMENT = datetime(2026, 11, 28, tzinfo=UTC)
CHARTS = {
    "bars": charts.bars([ROW], "name", "value", OTHER, ""),
    "intervals": charts.intervals([ROW], "name", "value", "low", "high", OTHER, ""),
    "parts": charts.parts([ROW], "name", {"value": OTHER}, "", ""),
    "heat": charts.heat([ROW], "other", "name", "value", (1, 2, 3, 4), ""),
    "pareto": charts.pareto([ROW | {"share": 1}], "name", "value", "share", OTHER, ""),
    "spans": charts.spans(
        [ROW | {"at": MOMENT, "end": MOMENT + timedelta(hours=1)}], "at", "end", "name", "other", ""
    ),
    "dots": charts.dots([ROW | {"at": MOMENT}], "at", "name", "other", ""),
    "columns": charts.columns_of(
        [ROW | {"at": MOMENT.date(), "name": each} for each in (NAME, OTHER)],
        "at",
        "name",
        "value",
        "",
        "",
        days=30,
    ),
}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("form", CHARTS)
def test_a_name_is_whole_at_every_width(form: str, width: int) -> None:
    drawn = charts.svg(CHARTS[form], width, "a")
    assert NAME in drawn
    assert OTHER in drawn


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_long_title_has_a_second_line(width: int) -> None:
    equal = [{"share_of_people": share, "share_of_commits": share} for share in (0, 1)]
    along = charts.lorenz(equal, "")
    upright = charts.band([ROW], "name", "value", "low", "high", OTHER, "", is_time=False)
    assert _words(along, width, "share of the people, those with the fewest commits first")
    assert _words(upright, width, OTHER)


def _words(chart: Chart, width: int, title: str) -> bool:
    drawn = charts.svg(chart, width, "a")
    return all(word in drawn for word in title.split()) and "…" not in drawn


def test_a_name_that_has_no_room_is_cut_by_how_wide_it_is() -> None:
    letter = "\u6f22"
    wide = {**ROW, "name": letter * 40}
    drawn = charts.svg(charts.bars([wide], "name", "value", "", ""), NARROW, "a")
    assert f"{letter * 19}…" in drawn
    assert letter * 20 not in drawn
