"""Numbers as others write them. Python's own readers take more: ``1_000``, blanks, any digits."""

import math
import re

WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
SHOWN = 30


def whole_number(value: object) -> int:
    """A whole number, or the text of one.

    Raises:
        ValueError: it is neither.
    """
    match value:
        case bool():
            pass
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if WHOLE.fullmatch(value):
            return int(value)
    raise ValueError(f"{str(value)[:SHOWN]!a} is no whole number")


def number(value: object) -> float:
    """A number that is finite, or the text of one.

    Raises:
        ValueError: it is neither.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, int | float | str) and (is_number or NUMBER.fullmatch(str(value))):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if math.isfinite(found):
            return found
    raise ValueError(f"{str(value)[:SHOWN]!a} is no number")
