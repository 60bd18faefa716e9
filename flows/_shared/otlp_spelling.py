"""Other spellings of OTLP's JSON and protobuf: what plainly means the same is read as the same.

Protobuf's JSON may name fields as the messages do (``scope_logs``), and scopes were instrumentation
libraries before version 0.15 of OTLP. Names in other letters (``ScopeLogs``) are no OTLP to any
reader, which would find nothing there: they are told.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

# By their names in JSON, with what they are called since.
FORMER_NAMES: Mapping[str, Mapping[str, str]] = {
    "ResourceLogs": {"instrumentationLibraryLogs": "scopeLogs"},
    "ResourceMetrics": {"instrumentationLibraryMetrics": "scopeMetrics"},
    "ScopeLogs": {"instrumentationLibrary": "scope", "logs": "logRecords"},
    "ScopeMetrics": {"instrumentationLibrary": "scope"},
}
# Of the lists of instrumentation libraries, whose messages have the fields of those of scopes.
FORMER_NUMBER = 1000
SCOPES = {"ResourceLogs": "scope_logs", "ResourceMetrics": "scope_metrics"}
DIVIDERS = re.compile("[^a-z]")


@dataclass(frozen=True)
class _Known:
    """A field by one of its names: its name in JSON, all names of now, the kind of its values."""

    own_name: str
    names: tuple[str, ...]
    message: Descriptor | None
    is_former: bool = False


def renamed(value: Mapping[str, Any], message: Descriptor) -> Mapping[str, Any]:
    """An object with the names of now, where they are only spelled differently.

    A field that is there by two spellings of its name keeps both. What stands under a former name
    beside one of now is the same told twice, as the specification has it, and is left out.
    """
    known = _known(message)
    if all(name not in known or known[name].own_name == name for name in value):
        return value
    changed: dict[str, Any] = {}
    for name, inner in value.items():
        field = known.get(name)
        if field is None:
            changed[name] = inner
        elif field.is_former:
            if not any(value.get(each) for each in field.names):
                changed[field.own_name] = _both(changed.get(field.own_name), inner)
        elif not inner and changed.get(field.own_name):
            # An empty list of now beside the full one of before.
            continue
        else:
            is_free = name == field.own_name or field.own_name not in value
            changed[field.own_name if is_free else name] = inner
    return changed


def _both(known: Any, other: Any) -> Any:
    """What stands under two former spellings of one name."""
    return [*known, *other] if isinstance(known, list) and isinstance(other, list) else other


def respelled(value: Any, message: Descriptor) -> Any:
    """The JSON of a message with the names of now, down to the last of its values."""
    if not isinstance(value, Mapping):
        return value
    named = renamed(value, message)
    changed: dict[str, Any] = {}
    for name, inner in named.items():
        field = _known(message).get(name)
        if field is not None and (kind := field.message) is not None:
            spelled = (
                _each_respelled(inner, kind) if isinstance(inner, list) else respelled(inner, kind)
            )
            if spelled is not inner:
                changed[name] = spelled
    return {**named, **changed} if changed else named


def _each_respelled(values: list[Any], message: Descriptor) -> list[Any]:
    spelled = [respelled(each, message) for each in values]
    is_same = all(new is old for new, old in zip(spelled, values, strict=True))
    return values if is_same else spelled


@cache
def _known(message: Descriptor) -> Mapping[str, _Known]:
    """By each name that a field has or had."""
    names: dict[str, _Known] = {}
    for field in message.fields:
        spelled = (field.json_name, field.name)
        names |= dict.fromkeys(spelled, _Known(field.json_name, spelled, field.message_type))
    for former, name in FORMER_NAMES.get(message.name, {}).items():
        names |= dict.fromkeys((former, snake(former)), replace(names[name], is_former=True))
    return names


def misspelled(names: Iterable[str], message: Descriptor) -> str | None:
    """The name of a field that one of these names is like, in other letters, without being it."""
    for name in names:
        if name not in _known(message) and (own := _by_letters(message).get(_letters(name))):
            return own
    return None


@cache
def _by_letters(message: Descriptor) -> Mapping[str, str]:
    return {_letters(name): field.own_name for name, field in _known(message).items()}


def _letters(name: str) -> str:
    return DIVIDERS.sub("", name.lower())


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def read_former_scopes(request: Message) -> None:
    """Read what stands in the former fields of a message of protobuf, and not in those of now.

    Raises:
        DecodeError: such a field holds something else.
    """
    for resource in _resources(request):
        name = SCOPES.get(resource.DESCRIPTOR.name)
        if name is None:
            continue
        former = [
            field.data for field in UnknownFieldSet(resource) if field.field_number == FORMER_NUMBER
        ]
        if former and not len(getattr(resource, name)):
            for data in former:
                if not isinstance(data, bytes):
                    raise DecodeError("an instrumentation library that is no message")
                getattr(resource, name).add().MergeFromString(data)


def _resources(request: Message) -> Sequence[Message]:
    (lists,) = (getattr(request, field.name) for field in request.DESCRIPTOR.fields)
    found: Sequence[Message] = lists
    return found
