"""Lines as JSON: refused is what PostgreSQL would not take, and numbers that nobody measured."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from flows._shared.json_keys import DoubledKeyError, each_once
from flows._shared.json_numbers import has_long_number, is_writable
from flows.quality_compass.records import Json

# What JSON allows and a double or PostgreSQL does not: looked for before it is looked at.
# Begins with a digit whatever follows: other places of a line are then passed over at once.
SUSPICIOUS_NUMBER = re.compile(rb"\d(?:[eE](?:\+?\d|-\d{3})|\d{15}(?:(?<![\d.]\d{16})|\d{284}))")
SMALL_FRACTION = b"." + b"0" * 20
# Nothing measured here comes near: beyond them sums, squares and quotients do not fit a double.
LARGEST_NUMBER = 1e15
SMALLEST_NUMBER = 1e-100
MOST_DIGITS = 300
MAX_DEPTH = 500
SUSPICIOUS_ESCAPE = re.compile(rb"\\u(0000|[dD][89a-fA-F])")


class UnusableLineError(ValueError):
    """The line is not a row; the message says why."""


def parse(line: bytes) -> Json:
    """The object on a line. Raises UnusableLineError for what PostgreSQL would not take as one."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise UnusableLineError(f"not UTF-8 at byte {error.start}") from None
    strict: dict[str, Any] = {}
    if SUSPICIOUS_NUMBER.search(line) or SMALL_FRACTION in line:
        strict = {"parse_float": _finite, "parse_int": _finite}
    try:
        parsed = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=each_once, **strict
        )
    except json.JSONDecodeError as error:
        raise UnusableLineError(
            f"not JSON: {error.msg.removesuffix(' at')} at column {error.colno}"
        ) from None
    except DoubledKeyError as error:
        raise UnusableLineError(str(error)) from None
    except RecursionError:
        raise UnusableLineError("nested too deeply") from None
    if not isinstance(parsed, dict):
        raise UnusableLineError(f"not an object but {type(parsed).__name__}")
    if b"\x00" in line or SUSPICIOUS_ESCAPE.search(line):
        _refuse_unstorable(parsed)
    if strict and (has_long_number(text) or not is_writable(text)):
        raise UnusableLineError("its numbers are too long to be written out, as 0e-16383 is")
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH:
        _refuse_depth(parsed)
    return parsed


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number) or (number == 0 and text.lower().partition("e")[0].strip("-0.")):
        raise UnusableLineError(f"the number {text[:30]} does not fit a double")
    if len(text) > MOST_DIGITS:
        raise UnusableLineError(f"the number {text[:30]}... has {len(text)} digits: too many")
    if abs(number) > LARGEST_NUMBER or 0 < abs(number) < SMALLEST_NUMBER:
        raise UnusableLineError(
            f"the number {text[:30]} is none that was measured: "
            f"beyond {LARGEST_NUMBER:g} or nearer to 0 than {SMALLEST_NUMBER:g}"
        )
    return number


def _refuse_constant(name: str) -> float:
    raise UnusableLineError(f"{name} is not JSON")


def _refuse_depth(parsed: Json) -> None:
    level: list[object] = [parsed]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        if not inner:
            return
        level = inner
    raise UnusableLineError(f"nested too deeply: more than {MAX_DEPTH} levels")


def _refuse_unstorable(value: object) -> None:
    """NUL and lone surrogates are texts in JSON and in Python, and not in PostgreSQL."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(each)
    elif isinstance(value, list):
        for each in value:
            _refuse_unstorable(each)
    elif isinstance(value, str) and any(
        each == "\0" or "\ud800" <= each <= "\udfff" for each in value
    ):
        raise UnusableLineError("a text holds NUL or half a surrogate pair")
