"""A chart as the SVG of a page, whatever texts are in it."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

from markupsafe import escape

from flows.report import words
from flows.report.charts.axes import SERIES
from flows.report.records import Chart, Spec

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
STYLE = Path(__file__).parents[1] / "templates" / "site.css"
FIRST_RULE = re.compile(r":root \{[^}]*\}")
ROOM = 12
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
