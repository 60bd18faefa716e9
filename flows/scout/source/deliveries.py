"""Deliveries of the webhook inbox: one payload, a list of them, or a list with a wrapper around."""

from collections.abc import Iterator
from io import StringIO

from flows._shared.inbox import Delivery
from flows.scout.records import DeliveredRow, Quarantined
from flows.scout.rules import BLANK, BYTE_ORDER_MARK, members_of, plain_name
from flows.scout.source.json_rows import KEPT_CHARACTERS, read_json

WRAPPERS = frozenset({"data", "records", "items", "rows", "transactions", "products"})
IDENTIFIERS = frozenset({"transaction_id", "sku"})


def read_delivery(delivery: Delivery) -> Iterator[DeliveredRow]:
    """Payloads as their text stands in the body; what cannot be read has its reason.

    An empty list has no rows; an empty body is one that cannot be read.
    """
    try:
        text = delivery.body.decode().lstrip(BYTE_ORDER_MARK)
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
        members = members_of(text)
    except (ValueError, RecursionError):
        return None
    names = [plain_name(each.name) for each in members]
    if IDENTIFIERS & set(names) or any(names.count(name) > 1 for name in WRAPPERS):
        return None
    lists = [
        (each.value_from, each.value_to)
        for name, each in zip(names, members, strict=True)
        if name in WRAPPERS and text.startswith("[", each.value_from)
    ]
    return lists[0] if len(lists) == 1 else None
