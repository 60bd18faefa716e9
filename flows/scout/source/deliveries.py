"""Deliveries of the webhook inbox: one payload, a list of them, or a list with a wrapper around."""

from collections.abc import Iterator
from io import StringIO

from flows._shared.inbox import Delivery
from flows.scout.records import DeliveredRow, Quarantined
from flows.scout.rules import BLANK, BYTE_ORDER_MARK
from flows.scout.source.json_rows import KEPT_CHARACTERS, find_wrapper, read_json


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
    wrapper = find_wrapper(StringIO(text))
    yield from read_json(StringIO(text), value_per_line=False, wrapper=wrapper)
