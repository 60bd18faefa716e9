"""What PostgreSQL's jsonb does not take, and how the names in a payload are written."""

import json
import re
from decimal import Decimal

import orjson

from flows._shared.json_keys import DoubledKeyError, each_once
from flows._shared.json_numbers import MOST_WRITTEN, has_long_number, is_writable
from flows.scout.rules.columns import (
    IDENTIFIERS,
    are_plain,
    differing,
    doubled_columns,
    name_columns,
    why_unclear,
)
from flows.scout.rules.members import members_of

# What Python's JSON reader takes and PostgreSQL's jsonb does not: an escaped NUL, half a surrogate
# pair, a number past numeric's range, nesting past the stack, more than it can write out.
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 500
# Too short for deep nesting or a long number. orjson itself refuses half a surrogate pair and what
# is past the range of a double, and takes what is next to 0.
PLAIN_CHARACTERS = 1000
_SPACE_BEFORE_COLON = re.compile(r'"\s+:')
SAYS_NOTHING = frozenset({"null", '""'})
# Spreadsheets hold 15 digits of a number, and what counts in doubles hardly more.
INEXACT_FROM = 10**15
_FRACTION_OR_EXPONENT = re.compile(r"-?\d+(\.\d+([eE][+-]?\d+)?|[eE][+-]?\d+)")
_SMALL_EXPONENT = re.compile(r"[eE]-\d{4}")


def as_stored(text: str) -> str | tuple[str, str]:
    """A JSON text as jsonb takes it, or why it does not, as (reason, detail).

    Names of its outermost object are those that ``name_columns`` gives, and an id that was
    shortened is a text; all else stays as it is.
    """
    if _is_plainly_storable(text):
        return text
    return _why_unstorable(text) or _with_plain_members(text)


def _is_plainly_storable(text: str) -> bool:
    """True of nearly every text, and found out in a fifth of the time."""
    if len(text) > PLAIN_CHARACTERS or "\\u0000" in text or _SMALL_EXPONENT.search(text):
        return False
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    # Every name has a colon behind it: with more colons than names, one name may stand twice.
    names = len(value) if isinstance(value, dict) else 0
    if names and not are_plain(tuple(value)):
        return False
    if names and any(isinstance(value.get(name), float) for name in IDENTIFIERS):
        return False
    return text.count(":") <= names or (
        text.count('":') <= names and not _SPACE_BEFORE_COLON.search(text)
    )


def _why_unstorable(text: str) -> tuple[str, str] | None:
    try:
        value = _decode(text)
    except RecursionError:
        return "too_deep", f"nested more than {MAX_DEPTH} levels"
    except DoubledKeyError as error:
        return "duplicate_name", str(error)
    except ValueError as error:
        return "invalid_json", str(error)
    if not text.isascii() and _SURROGATE.search(text):
        return "undecodable_bytes", "some bytes are no text in the encoding of the file"
    if "\\u" in text and _SUSPICIOUS_ESCAPE.search(text):
        dumped = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in dumped or _SURROGATE.search(dumped):
            return "unstorable_character", "a NUL or half a surrogate pair"
    if has_long_number(text):
        return "unstorable_number", "a number of a thousand digits or a four-digit exponent"
    if not is_writable(text):
        return "unstorable_number", f"numbers that are more than {MOST_WRITTEN} digits written out"
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return "too_deep", f"nested more than {MAX_DEPTH} levels"
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Of a number only the digits are looked at: a long one is none to Python.
_decode = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_int=str, object_pairs_hook=each_once
).decode


def _depth(value: object) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        current, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(current, dict):
            waiting.extend((child, depth + 1) for child in current.values())
        elif isinstance(current, list):
            waiting.extend((child, depth + 1) for child in current)
    return deepest


def why_unstorable_text(fields: str) -> tuple[str, str] | None:
    """The same for the fields of a CSV row, joined."""
    if "\0" in fields:
        return "unstorable_character", "a NUL"
    if _SURROGATE.search(fields):
        return "undecodable_bytes", "some bytes are no text in the encoding of the file"
    return None


def _with_plain_members(text: str) -> str | tuple[str, str]:
    members = members_of(text)
    given = [each.name for each in members]
    names = name_columns(given)
    values = [text[each.value_from : each.value_to] for each in members]
    said = ["" if value in SAYS_NOTHING else value for value in values]
    if column := differing(doubled_columns(given), said):
        return why_unclear(column)
    plain = [
        _id_as_written(value) if name in IDENTIFIERS else value
        for name, value in zip(names, values, strict=True)
    ]
    if list(names) == given and plain == values:
        return text
    pairs = zip(names, plain, strict=True)
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"


def _id_as_written(value: str) -> str:
    """A number that was shortened, as spreadsheets write it: jsonb would write it out.

    ``2.02611E+13`` says by its plus that it was; Java writes ``1.0000010E7`` of what it has whole.
    """
    if not _FRACTION_OR_EXPONENT.fullmatch(value):
        return value
    number = Decimal(value)
    lacks_figures = "E+" in str(number)
    if abs(number) >= INEXACT_FROM or ("+" in value and lacks_figures):
        return f'"{number:E}"'
    return value
