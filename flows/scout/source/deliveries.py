"""Deliveries of the webhook inbox: one payload, a list of them, or a list with a wrapper around."""

import json
from collections.abc import Iterator
from io import StringIO

from flows._shared.inbox import Delivery
from flows.scout.records import DeliveredRow, Quarantined
from flows.scout.source.json_rows import BLANK, KEPT_CHARACTERS, read_json

WRAPPERS = frozenset({"data", "records", "items", "rows", "transactions", "products"})
IDENTIFIERS = frozenset({"transaction_id", "sku"})
_decode = json.JSONDecoder().raw_decode


def read_delivery(delivery: Delivery) -> Iterator[DeliveredRow]:
    """Payloads as their text stands in the body; what cannot be read has its reason.

    An empty list has no rows; an empty body is one that cannot be read.
    """
    try:
        text = delivery.body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        shown = delivery.body[:KEPT_CHARACTERS].decode("utf-8", "backslashreplace")
        yield Quarantined(1, "undecodable_bytes", str(error), shown)
        return
    if not text.strip(BLANK):
        yield Quarantined(1, "empty_delivery", "the body holds nothing", "")
        return
    start, end = _wrapped_list(text) or (0, len(text))
    lines_before = text.count("\n", 0, start)
    for row in read_json(StringIO(text[start:end]), value_per_line=False):
        yield row._replace(line_number=row.line_number + lines_before)


def _wrapped_list(text: str) -> tuple[int, int] | None:
    """Where the list stands in an object that is no payload itself but wraps exactly one list."""
    try:
        members = _members(text)
    except (ValueError, RecursionError):
        return None
    lists = [
        (start, end)
        for name, (start, end) in members.items()
        if name in WRAPPERS and text.startswith("[", start)
    ]
    return lists[0] if len(lists) == 1 and not IDENTIFIERS & members.keys() else None


def _members(text: str) -> dict[str, tuple[int, int]]:
    """Names of an object with where their values begin and end; empty if it is no object.

    Raises:
        ValueError: this is no JSON, something follows the object, or a name that decides how it is
            read stands there twice.
    """
    members: dict[str, tuple[int, int]] = {}
    at = _past_blank(text, 0)
    if not text.startswith("{", at):
        return members
    mark = "{"
    while mark in "{,":
        name, at = _decode(text, _past_blank(text, at + 1))
        at = _past_blank(text, at)
        if not isinstance(name, str) or not text.startswith(":", at):
            raise ValueError("no name of a member")
        if name in members and name in WRAPPERS | IDENTIFIERS:
            raise ValueError("two lists of one name")
        start = _past_blank(text, at + 1)
        _, end = _decode(text, start)
        members[name] = start, end
        at = _past_blank(text, end)
        mark = text[at : at + 1] or "end"
    if mark != "}" or _past_blank(text, at + 1) < len(text):
        raise ValueError("something follows")
    return members


def _past_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANK:
        at += 1
    return at
