"""What is wrong with a value by a model: each fault once, with what was seen and what is right."""

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

LONGEST = 100
# Places of one fault that are told by name.
NAMED = 3
MISSING, IGNORED = "missing", "extra_forbidden"

Path = tuple[str | int, ...]
# Of what, and what is wrong with it.
Told = tuple[str, str]

# What a value may be, by the key that has it: where the word of a model does not tell.
RIGHT = {
    "active": "true or false",
    "anchor_date": "a moment, such as 2026-01-01T00:00:00Z",
    "claimName": "a name as of a host, such as agent-analytics-state",
    "collision_strategy": "ENQUEUE",
    "cpu_limit": "cores as text, such as 500m or '2'",
    "cpu_request": "cores as text, such as 500m or '2'",
    "cron": "five fields, such as 0 3 * * *",
    "entrypoint": "a module path that ends in the name of a flow, such as flows.scout.flow.refresh",
    "ephemeral_storage_limit": "MiB or GiB, such as 512Mi or 1.5Gi",
    "ephemeral_storage_request": "MiB or GiB, such as 512Mi or 1.5Gi",
    "grace_period_seconds": "60 to 86400",
    "interval": "seconds, or a duration such as PT15M",
    "limit": "a whole number, 1 or more",
    "memory_limit": "MiB or GiB, such as 512Mi or 1.5Gi",
    "memory_request": "MiB or GiB, such as 512Mi or 1.5Gi",
    "name": "a name without / % & < >, by which applying finds it",
    "rrule": "a rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO",
    "schedule_after": "seconds, or a duration such as PT20S",
    "slug": "a name of its own, by which applying finds it",
    "timezone": "one such as UTC or Europe/Berlin",
    "within": "seconds, or a duration such as PT20S",
}


@dataclass(frozen=True)
class Fault:
    """A value that is not right; ``path`` are the keys and places that lead to it."""

    path: Path
    says: str

    def told(self, *, below: int = 0) -> str:
        """The sentence, with the path from some depth on."""
        return f"{dotted(self.path[below:]) or 'it'} {self.says}"


def faults(model: TypeAdapter[Any], value: object) -> list[Fault]:
    """Every fault of a value; a value that several alternatives refuse is told once."""
    try:
        model.validate_python(value)
    except ValidationError as error:
        found: dict[Path, str] = {}
        for each in error.errors(include_url=False):
            path, found_there = _place(value, each)
            if not any(path[: len(told)] == told[: len(path)] for told in found):
                found[path] = _says(path, found_there, each)
        return [Fault(path, says) for path, says in found.items()]
    return []


def folded(told: Iterable[Told]) -> list[str]:
    """``<where>: <what>``, each once: what is wrong in many places is one line that names some."""
    places: dict[str, dict[str, None]] = {}
    for where, what in told:
        places.setdefault(what, {})[where] = None
    return [f"{_few(list(wheres))}: {what}" for what, wheres in places.items()]


def _few(places: list[str]) -> str:
    told, left = "; ".join(places[:NAMED]), len(places) - NAMED
    return f"{told} and {left} more" if left > 0 else told


def softened(value: Any, found: Iterable[Fault]) -> Any:
    """A copy in which None is in the place of what is not right."""
    copy = deepcopy(value)
    for fault in found:
        if not fault.path:
            return None
        holder = copy
        for part in fault.path[:-1]:
            holder = holder[part] if holder is not None else None
        if isinstance(holder, list) or (isinstance(holder, dict) and fault.path[-1] in holder):
            holder[fault.path[-1]] = None  # type: ignore[index]
    return copy


def wrong(value: object, problem: str, key: str | int | None = None) -> str:
    """What was seen, what is wrong with it, and what is right where that is known."""
    told = problem.removeprefix("Value error, ").rstrip(".")
    right = RIGHT.get(str(key))
    if told[1:2].islower():
        told = f"{told[0].lower()}{told[1:]}"
    return f"is {seen(value)}: {told}" + (f"; give {right}" if right else "")


def seen(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False, skipkeys=True)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def dotted(path: Iterable[str | int]) -> str:
    """``schedules[0].cron``."""
    parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in path]
    return "".join(parts).removeprefix(".")


def _says(path: Path, value: object, error: ErrorDetails) -> str:
    key = path[-1] if path else None
    if error["type"] == MISSING:
        right = RIGHT.get(str(key))
        return "is missing" + (f": give {right}" if right else "")
    if error["type"] == IGNORED:
        return "is a key that Prefect ignores"
    return wrong(value, error["msg"], key)


def _place(value: object, error: ErrorDetails) -> tuple[Path, object]:
    """Where an error is, and what is there: an alternative among types is no key of the value."""
    found: list[str | int] = []
    for part in error["loc"]:
        is_place = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_place or (isinstance(value, Mapping) and part in value):
            value = value[part]  # type: ignore[index]
            found.append(part)
    if error["type"] == MISSING:
        found.append(error["loc"][-1])
    return tuple(found), value
