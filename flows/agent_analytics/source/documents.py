"""JSON that is no lines: documents over many lines, one behind another, and lists of requests."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

# Of what is decoded here only the end is asked.
_DECODER = json.JSONDecoder(object_pairs_hook=len, parse_int=len, parse_float=len)
_BLANK = re.compile(r"[ \t\r\n]*")


def whole_documents(content: bytes) -> int:
    """How many bytes are JSON documents, and what is blank behind them."""
    text = content.decode("utf-8", "surrogateescape")
    end = 0
    with suppress(ValueError):
        for _, last in _spans(text):
            end = last
    return len(text[: _after_blank(text, end)].encode("utf-8", "surrogateescape"))


def requests_in(content: bytes) -> Iterator[bytes]:
    """The documents of a text, in the place of a list what is in it.

    Raises:
        ValueError: they are not all JSON.
    """
    text = content.decode()
    for begin, end in _spans(text):
        inner = list(_elements(text, begin)) if text[begin] == "[" else []
        for first, last in inner or [(begin, end)]:
            yield text[first:last].encode()


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each document begins and ends; what Python does not follow ends with the text."""
    begin = _after_blank(text, 0)
    while begin < len(text):
        end = _end(text, begin)
        yield begin, end
        begin = _after_blank(text, end)


def _elements(text: str, begin: int) -> Iterator[tuple[int, int]]:
    """Where each element of the list that begins here begins and ends."""
    begin = _after_blank(text, begin + 1)
    while begin < len(text) and text[begin] != "]":
        end = _end(text, begin)
        yield begin, end
        begin = _after_blank(text, end)
        if text[begin : begin + 1] == ",":
            begin = _after_blank(text, begin + 1)


def _end(text: str, begin: int) -> int:
    try:
        return _DECODER.raw_decode(text, begin)[1]
    except RecursionError:
        return len(text)


def _after_blank(text: str, begin: int) -> int:
    found = _BLANK.match(text, begin)
    return found.end() if found else begin
