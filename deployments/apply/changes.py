"""What differs between the files and the server, and what would make it equal."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

LONGEST_VALUE = 100

# A deployment, its schedules, a trigger or an automation is known as this project's by this tag.
PROJECT_TAG = "analytics-flows"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One thing to create, update or delete.

    Args:
        kind: such as ``deployment``.
        name: of the thing.
        perform: does it.
        details: one line for each value that differs.
    """

    action: Literal["create", "update", "delete"]
    kind: str
    name: str
    perform: Callable[[], object]
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.action} {self.kind} {self.name}"]
        return "\n    ".join([*lines, *self.details])


def differences(wanted: Json, found: Json) -> tuple[str, ...]:
    """A line for each value in which ``found`` is not what is wanted.

    What ``found`` has besides is its own at the top, where the server adds ids and times; further
    down it is one thing too many.
    """
    return tuple(_differences(wanted, found, ()))


def _differences(wanted: Json, found: Json, path: tuple[str, ...]) -> Iterator[str]:
    for key, value in wanted.items():
        here = (*path, str(key))
        other = found.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            gone = {name: None for name in other if name not in value}
            yield from _differences({**gone, **value}, other, here)
        elif value != other:
            yield f"{'.'.join(here)}: {_shown(other)} -> {_shown(value)}"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def perform(changes: Iterable[Change], say: Callable[[str], None]) -> None:
    """Perform changes in their order, each told before it is made."""
    for change in changes:
        say(str(change))
        change.perform()
