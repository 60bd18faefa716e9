"""JSON that is no lines: documents over many lines, one behind another, and lists of requests."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

# Of what is decoded here only the end is asked.
_DECODER = json.JSONDecoder(object_pairs_hook=len, parse_int=len, parse_float=len)
# A word, a number or a letter's code that is cut is an error this close to the end.
_LONGEST_CUT = 6
_BLANK = re.compile(r"[ \t\r\n]*")
# A mark of the byte order stands before a document, also where files were put together.
_BETWEEN = re.compile(r"[ \t\r\n,\ufeff]*")
_BRACKET_OR_TEXT = re.compile(rb'[\[{\]}]|"(?:[^"\\]|\\.)*+"?')


def whole_documents(content: bytes) -> int:
    """How many bytes are JSON documents, and the blanks and commas behind them."""
    text = content.decode("utf-8", "surrogateescape")
    end = 0
    with suppress(ValueError):
        for _, last in _spans(text):
            end = last
    return len(text[: _after(_BETWEEN, text, end)].encode("utf-8", "surrogateescape"))


def is_cut(content: bytes) -> bool:
    """Whether this is the beginning of a document, and in order as far as it goes."""
    text = content.decode("utf-8", "surrogateescape").rstrip()
    try:
        _DECODER.raw_decode(text, _after(_BETWEEN, text, 0))
    except json.JSONDecodeError as error:
        is_text = error.msg.startswith("Unterminated string")
        return bool(text) and (is_text or error.pos > len(text) - _LONGEST_CUT)
    except RecursionError:
        pass
    return False


def depth_of(line: bytes) -> int:
    """How many more brackets a line opens than it closes. No text goes on over a line's end."""
    depth = 0
    for found in _BRACKET_OR_TEXT.finditer(line):
        depth += (found[0] in b"[{") - (found[0] in b"]}")
    return depth


def requests_in(content: bytes) -> Iterator[bytes]:
    """The documents of a text, in the place of a list what is in it.

    Raises:
        ValueError: they are not all JSON.
    """
    text = content.decode("utf-8", "surrogateescape")
    for begin, end in _spans(text):
        inner = list(_elements(text, begin)) if text[begin] == "[" else []
        for first, last in inner or [(begin, end)]:
            yield text[first:last].encode("utf-8", "surrogateescape")


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each document begins and ends; what Python does not follow ends with the text."""
    begin = _after(_BETWEEN, text, 0)
    while begin < len(text):
        end = _end(text, begin)
        yield begin, end
        begin = _after(_BETWEEN, text, end)


def _elements(text: str, begin: int) -> Iterator[tuple[int, int]]:
    """Where each element of the list that begins here begins and ends."""
    begin = _after(_BLANK, text, begin + 1)
    while begin < len(text) and text[begin] != "]":
        end = _end(text, begin)
        yield begin, end
        begin = _after(_BLANK, text, end)
        if text[begin : begin + 1] == ",":
            begin = _after(_BLANK, text, begin + 1)


def _end(text: str, begin: int) -> int:
    try:
        return _DECODER.raw_decode(text, begin)[1]
    except RecursionError:
        return len(text)


def _after(pattern: re.Pattern[str], text: str, begin: int) -> int:
    found = pattern.match(text, begin)
    return found.end() if found else begin
