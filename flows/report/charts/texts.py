"""Texts of a drawing: how much of them there is room for, and what stands for them meanwhile."""

import re
import textwrap
from collections.abc import Mapping
from typing import Any
from unicodedata import east_asian_width

from markupsafe import escape

from flows.report import words

# What may hold texts from outside in a specification.
TEXTS = {"label", "across", "down", "part", "state", "domain"}
STAND_IN = re.compile(r"Z\d{4}Zn*")
# Letters of a name, of a line of a title along the height, and the lines of a title.
MOST, UPRIGHT, LINES = 40, 28, 2
# Pixels of a letter as the drawing measures it, of what a legend has beside a name, and of the axis
# beside which a legend begins.
LETTER, BESIDE, AXIS = 8, 32, 72
MOST_COLUMNS = 4


class StandIns:
    """Plain words in the place of texts; equal ones for equal texts, in the order of the texts.

    Args:
        width: of the drawing, in pixels.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._words: dict[tuple[str, str], str] = {}
        self._widest_part = 1

    def stand_in(self, part: Any, key: str = "", channel: str = "") -> Any:
        """A part of a specification with stand-ins; titles that are long are lines of them."""
        if isinstance(part, Mapping):
            return {
                name: self.stand_in(value, name, name if name in ("x", "y") else channel)
                for name, value in part.items()
            }
        if isinstance(part, list | tuple):
            return [self.stand_in(value, key, channel) for value in part]
        if not isinstance(part, str):
            return part
        if key == "title":
            room = UPRIGHT if channel == "y" else self._width // LETTER - BESIDE // LETTER
            lines = textwrap.wrap(words.visible(part), room, max_lines=LINES, placeholder=" …")
            return [self._word(line, line) for line in lines]
        if key not in TEXTS:
            return part
        cut = _cut(words.visible(part))
        if key == "domain":
            self._widest_part = max(self._widest_part, _width(cut))
        return self._word(part, cut)

    def columns_of_legend(self) -> int:
        """As many as have room beside each other."""
        room = (self._width - AXIS) // (self._widest_part * LETTER + BESIDE)
        return max(1, min(MOST_COLUMNS, room))

    def put_back(self, drawn: str) -> str:
        """The drawing with the texts themselves."""
        shown = {word: text for (_, text), word in self._words.items()}
        return STAND_IN.sub(lambda found: str(escape(shown[found[0]])), drawn)

    def _word(self, text: str, shown: str) -> str:
        if (text, shown) not in self._words:
            number = f"Z{len(self._words):04}Z"
            self._words[text, shown] = number.ljust(_width(shown), "n")
        return self._words[text, shown]


def _width(text: str) -> int:
    """In letters: those of some scripts are as wide as two."""
    return sum(1 + (east_asian_width(each) in "WF") for each in text)


def _cut(text: str) -> str:
    """The beginning that has room."""
    if _width(text) <= MOST:
        return text
    cut = text[: MOST - 1]
    while _width(cut) > MOST - 1:
        cut = cut[:-1]
    return f"{cut}…"
