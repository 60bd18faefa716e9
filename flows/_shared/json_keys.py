"""JSON objects that name a key twice, of which a reader of JSON keeps the last in silence."""

from collections.abc import Sequence
from typing import Any

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
