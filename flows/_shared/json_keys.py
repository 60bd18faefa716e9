"""JSON objects that name a key twice, of which a reader of JSON keeps the last in silence."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from flows._shared.counted import counted

SHOWN = 60
# A key of its own is larger in memory than any other value, and no sender's object has so many.
MOST_KEYS = 50_000
# Of which a double is infinite.
MOST_DIGITS = 400


class ManyKeysError(ValueError):
    """An object has more keys than are read."""


class DoubledKeyError(ValueError):
    """An object names a key twice."""


class Again(str):
    """A key that its object has already: equal to nothing, so that both are kept and written."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def few(
    hook: Callable[[Sequence[tuple[str, Any]]], dict[str, Any]],
) -> Callable[[Sequence[tuple[str, Any]]], dict[str, Any]]:
    """An ``object_pairs_hook`` that raises ManyKeysError for more keys than are read."""

    def read(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        if len(pairs) > MOST_KEYS:
            raise ManyKeysError(f"an object has more than {counted(MOST_KEYS, 'key')}")
        return hook(pairs)

    return read


def keep_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` of a reader that hands objects on to one which refuses."""
    found: dict[str, Any] = dict(pairs)
    if len(found) == len(pairs):
        return found
    found = {}
    for key, value in pairs:
        found[Again(key) if key in found else key] = value
    return found


def whole_or_infinite(digits: str) -> float:
    """The ``parse_int`` of a reader of any digits: of so many Python's own reader ends."""
    return int(digits) if len(digits) <= MOST_DIGITS else math.inf


def each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` of a reader that refuses.

    Raises:
        DoubledKeyError: it names the first key that is there a second time.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DoubledKeyError(f"an object has {_first_doubled(pairs)[:SHOWN]!a} twice")
    return found


def has_each_once(text: bytes | str) -> bool:
    """Whether no object of a JSON text has a key twice. Nothing of it is held meanwhile."""
    try:
        json.loads(text, object_pairs_hook=_looked_at, parse_float=len, parse_int=len)
    except DoubledKeyError:
        return False
    return True


def _looked_at(pairs: Sequence[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise DoubledKeyError("an object has a key twice")


class _Place(tuple[str | int, ...]):
    """Where in an object a key stands a second time; it takes the place of the object."""

    __slots__ = ()


def doubled_place(text: bytes | str, *, in_lists: bool = True) -> tuple[str | int, ...] | None:
    """Where a key stands a second time in a JSON text: the keys and places in lists to it.

    Of the text no more is held than lists of nothing.

    Args:
        in_lists: whether what stands in lists is looked at.
    """

    def within(value: object) -> _Place | None:
        if isinstance(value, list) and in_lists:
            for number, each in enumerate(value):
                if (inner := within(each)) is not None:
                    return _Place((number, *inner))
        return value if isinstance(value, _Place) else None

    def look_at(pairs: Sequence[tuple[str, Any]]) -> _Place | None:
        if len(dict(pairs)) != len(pairs):
            return _Place((_first_doubled(pairs),))
        for key, value in pairs:
            if (inner := within(value)) is not None:
                return _Place((key, *inner))
        return None

    return within(json.loads(text, object_pairs_hook=look_at, parse_float=len, parse_int=len))


def _first_doubled(pairs: Sequence[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise ValueError("every key is there once")


def shown_place(place: Sequence[str | int]) -> str:
    """A place as it may stand in a message: a JSON pointer, its parts short and in ASCII."""
    parts = (str(part)[:SHOWN].replace("~", "~0").replace("/", "~1") for part in place)
    return "".join(f"/{ascii(part)[1:-1]}" for part in parts)
