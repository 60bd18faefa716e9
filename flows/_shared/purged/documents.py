"""Documents of JSON, read as they are written: what is not replaced keeps every sign."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from flows._shared.purged.texts import joined

# What nothing closes is a text to the end, else each quote in it would be looked at anew.
_PART = re.compile(
    r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\],]|(?<![\w.+-])[0-9]{1,15}(?![\w.+-])', re.S
)
_COLON = re.compile(r"\s*:")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_WORDS_FOR_PEOPLE = (
    "account actor approver assignee author by commenter committer contributor creator developer"
    " email enduser login mail maintainer member mention owner person pusher reporter requester"
    " reviewer sender user username"
)
_PEOPLE = frozenset(_WORDS_FOR_PEOPLE.split())
# Whose value is a person's where they stand in a person.
_OF_WHAT_IT_IS_IN = frozenset({"name", "id", "uuid", "value", "string", "values", "array"})
# Whose value tells what the value beside it is, as in telemetry and forms.
_TELLING = frozenset({"key", "name"})
# Whose value begins with the login of the owner.
_OWNED = frozenset(
    {"full_name", "fullName", "nameWithOwner", "name_with_owner", "repository", "repo", "label"}
)
# Of an account: its number, and what is made of the number.
_NUMBERED = frozenset({"id", "node_id", "avatar_url", "gravatar_id"})


@dataclass
class _Level:
    """An object or list that is not closed yet."""

    is_object: bool
    is_named: bool
    key: str = ""
    told: str = ""
    is_person: bool = False
    numbered: list[tuple[int, int, str]] = field(default_factory=list)

    def names_people(self) -> bool:
        """Whether a value at this place is a person's name."""
        if not self.is_object:
            return self.is_named
        if self.key in ("value", "stringValue") and self.told:
            return _names_people(self.told, is_within=False)
        return _names_people(self.key, self.is_named)


def _told_of(text: str) -> dict[int, str]:
    """What an object says that its value is, before or behind it, by where the object begins."""
    told: dict[int, str] = {}
    if not any(f'"{key}"' in text for key in _TELLING):
        return told
    levels: list[tuple[int, str]] = []
    key = ""
    for part in _PART.finditer(text):
        sign = part[0][0]
        if sign in "{[":
            levels.append((part.start() if sign == "{" else -1, key))
            key = ""
        elif sign in "}]":
            key = levels.pop()[1] if levels else ""
        elif sign == ",":
            key = ""
        elif sign == '"' and levels and levels[-1][0] >= 0:
            if key in _TELLING:
                told[levels[-1][0]] = _read(part[0])
            elif not key and _COLON.match(text, part.end()):
                key = _read(part[0])
    return told


def _names_people(key: str, is_within: bool) -> bool:
    words = [word.lower() for word in _WORD.findall(key)]
    if any(word in _PEOPLE or word.removesuffix("s") in _PEOPLE for word in words):
        return True
    return is_within and bool(words) and words[-1] in _OF_WHAT_IT_IS_IN


def is_document(text: str) -> bool:
    """Whether it is JSON as a whole: an object, a list or a text in quotes."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def shown_document(
    text: str,
    value_of: Callable[[str, bool, bool], str],
    key_of: Callable[[str], str],
    is_gone: Callable[[str], bool],
) -> str:
    """The document with other values and keys.

    Args:
        value_of: a value as it is kept; whether its key tells that it names somebody, and whether
            it tells that the value begins with the login of an owner.
        key_of: a key as it is kept.
        is_gone: whether this login is one whose account loses its numbers, too.
    """
    told_of = _told_of(text)
    levels = [_Level(is_object=False, is_named=False)]
    replaced: list[tuple[int, int, str]] = []
    for part in _PART.finditer(text):
        top, sign = levels[-1], part[0][0]
        if sign in "{[":
            told = told_of.get(part.start(), top.told)
            levels.append(_Level(sign == "{", top.names_people(), told=told))
        elif sign in "}]":
            _close(levels, replaced)
        elif sign == ",":
            top.key = "" if top.is_object else top.key
        elif sign != '"':
            if top.key in _NUMBERED:
                top.numbered.append((*part.span(), "0"))
        elif top.is_object and _COLON.match(text, part.end()):
            top.key = _read(part[0])
            replaced += _changed(part, top.key, key_of(top.key))
        else:
            value = _read(part[0])
            if top.key == "login" and is_gone(value):
                top.is_person = True
            if top.key in _NUMBERED:
                top.numbered.append((*part.span(), '""'))
            is_owned = top.key in _OWNED
            replaced += _changed(part, value, value_of(value, top.names_people(), is_owned))
    while len(levels) > 1:
        _close(levels, replaced)
    return joined(text, sorted(replaced, key=lambda each: (each[0], each[2] != '""')))


def _close(levels: list[_Level], replaced: list[tuple[int, int, str]]) -> None:
    if len(levels) > 1 and (level := levels.pop()).is_person:
        replaced += level.numbered


def _read(quoted: str) -> str:
    """The text in quotes; of the end of a document that was cut off what is there."""
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted


def _changed(part: re.Match[str], value: str, shown: str) -> list[tuple[int, int, str]]:
    if shown == value:
        return []
    return [(*part.span(), shown if value == part[0] else _quoted(shown))]


def _quoted(value: str) -> str:
    # What is no Unicode can be written as an escape alone.
    is_unicode = not any("\ud800" <= letter <= "\udfff" for letter in value)
    return json.dumps(value, ensure_ascii=not is_unicode)
