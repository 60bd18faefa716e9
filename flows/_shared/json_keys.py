"""JSON objects that name a key twice, of which a reader of JSON keeps the last in silence."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

SHOWN = 60


class DoubledKeyError(ValueError):
    """An object names a key twice."""


class Again(str):
    """A key that its object has already: equal to nothing, so that both are kept and written."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def keep_twice(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` of a reader that hands objects on to one which refuses."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[Again(key) if key in found else key] = value
    return found


def each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` of a reader that refuses.

    Raises:
        DoubledKeyError: it names the first key that is there a second time.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DoubledKeyError(f"an object has {key[:SHOWN]!a} twice")
            seen.add(key)
    return found


class _Place(NamedTuple):
    """Places share what they are in: a text may have a million of them, each a hundred deep."""

    outer: "_Place | None"
    part: str | int


def doubled_places(text: bytes | str) -> Iterator[tuple[str | int, ...]]:
    """Where keys stand a second time in a JSON text: keys and places in lists, outermost first."""
    whole = json.loads(text, object_pairs_hook=keep_twice, parse_int=float)
    waiting: list[tuple[_Place | None, Any]] = [(None, whole)]
    while waiting:
        place, value = waiting.pop()
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            if isinstance(key, Again):
                yield _parts(_Place(place, str(key)))
            if isinstance(each, dict | list):
                waiting.append((_Place(place, key), each))


def _parts(place: _Place | None) -> tuple[str | int, ...]:
    parts = []
    while place is not None:
        parts.append(place.part)
        place = place.outer
    return tuple(reversed(parts))


def shown_place(place: Sequence[str | int]) -> str:
    """A place as it may stand in a message: a JSON pointer, its parts short and in ASCII."""
    parts = (str(part)[:SHOWN].replace("~", "~0").replace("/", "~1") for part in place)
    return "".join(f"/{ascii(part)[1:-1]}" for part in parts)
