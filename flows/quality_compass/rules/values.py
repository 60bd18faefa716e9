"""What a value on a line may be. Marts would read another kind of value as none, and nobody would
be told: each function raises UnusableLineError for it. None, or nothing at all, may always be."""

from collections.abc import Mapping

from flows.quality_compass.records import Json
from flows.quality_compass.rules.json_lines import UnusableLineError

LARGEST_COUNT = 2**31 - 1
# Shares and ranks are floats: a sum of them may end beside 1.
ROUNDING = 1e-9


def number(what: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnusableLineError(f"{what} is {value!r}, not a number")
    return float(value)


def within(what: str, value: object, low: float, high: float) -> float | None:
    found = number(what, value)
    if found is not None and not low - ROUNDING <= found <= high + ROUNDING:
        raise UnusableLineError(f"{what} {value!r} is outside {low} to {high}")
    return found


def whole(what: str, value: object) -> float | None:
    found = number(what, value)
    if found is not None and not found.is_integer():
        raise UnusableLineError(f"{what} {value!r} is no whole number")
    return found


def count(what: str, value: object, most: float = LARGEST_COUNT) -> float | None:
    within(what, value, 0, most)
    return whole(what, value)


def numbers(what: str, values: object) -> None:
    """A list of numbers, of which some may be None."""
    if values is None:
        return
    if not isinstance(values, list):
        raise UnusableLineError(f"{what} is {values!r}, not a list")
    for each in values:
        number(what, each)


def flag(what: str, value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise UnusableLineError(f"{what} is {value!r}, neither true nor false")


def text(what: str, value: object) -> None:
    if not isinstance(value, str | None):
        raise UnusableLineError(f"{what} is {value!r}, not a text")


def object_in(parent: Json, field: str) -> Json:
    """The object of a field, an empty one where there is none."""
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnusableLineError(f"{field} is {value!r}, not an object")
    return value


def mapping(parent: Json, field: str) -> Json:
    """The object of a field that must be there."""
    value = parent.get(field)
    if not isinstance(value, Mapping):
        raise UnusableLineError(f"no {field}")
    return value


def first(parent: Json, field: str) -> Json:
    """The first object of a list that must be there."""
    value = parent.get(field)
    if not isinstance(value, list) or not value or not isinstance(value[0], Mapping):
        raise UnusableLineError(f"no {field}")
    return value[0]
