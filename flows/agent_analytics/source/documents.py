"""JSON that is no lines: documents over many lines, one behind another, and lists of requests."""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from flows._shared.weighed import outside_texts
from flows.agent_analytics.source.rows import LONGEST_LINE

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# An element of such a key's list does not name the key.
REQUEST_KEY = re.compile(rb'"resource_?(?:metrics|logs|spans|profiles)"\s*:', re.IGNORECASE)
# Within a text quotes have a backslash before them.
REQUEST = re.compile(rb"\{\s*" + REQUEST_KEY.pattern, re.IGNORECASE)
BEFORE_REQUEST = re.compile(rb",\s*(?=\{\s*" + REQUEST_KEY.pattern + rb")", re.IGNORECASE)

# Of what is decoded here only the end is asked.
_DECODER = json.JSONDecoder(object_pairs_hook=len, parse_int=len, parse_float=len)
# A word, a number or a letter's code that is cut is an error this close to the end.
_LONGEST_CUT = 6
_BLANK = re.compile(r"[ \t\r\n]*")
# A mark of the byte order stands before a document, also where files were put together.
_BETWEEN = re.compile(r"[ \t\r\n,\ufeff]*")


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
    return sum(
        outside.count(b"{") + outside.count(b"[") - outside.count(b"}") - outside.count(b"]")
        for outside in outside_texts(line)
    )


def unmarked(line: bytes) -> bytes:
    """Without marks of the byte order before it; files that were put together have several."""
    return line.lstrip(BYTE_ORDER_MARK)


def has_requests_within(content: bytes) -> bool:
    """Whether a request begins in the middle of another, which was cut."""
    depth = begin = 0
    for found in REQUEST.finditer(content):
        depth += depth_of(content[begin : found.start()])
        begin = found.start()
        if depth > 1:
            return True
    return False


def begins_document(line: bytes) -> bool:
    """Whether a line is the first of an object or list that goes on behind it."""
    is_begun = unmarked(line).startswith((b"{", b"["))
    return is_begun and line.endswith(b"\n") and depth_of(line) > 0


def lines_and_documents(
    lines: Iterator[bytes], is_growing: bool = False
) -> Iterator[tuple[list[bytes], bool]]:
    """Each line alone, the lines of a document together, and whether it is still being written.

    Only the last one of lines that are growing can be: where it is in order as far as it goes.
    """
    waiting: deque[bytes] = deque()
    torn = 0
    while line := _next(waiting, lines):
        document, is_open = [line], False
        if begins_document(line):
            is_last = _complete(document, waiting, lines, torn > 0)
            text = b"".join(document)
            is_open = (
                is_growing
                and is_last
                and is_cut(text[whole_documents(text) :])
                and not has_requests_within(text)
                and not _is_readable_by_lines(document)
            )
            if not is_open and not _is_json(text):
                torn = max(torn, len(document))
                waiting.extendleft(reversed(document[1:]))
                document = [line]
        torn = max(0, torn - len(document))
        yield document, is_open


def _complete(
    document: list[bytes], waiting: deque[bytes], lines: Iterator[bytes], is_torn: bool
) -> bool:
    """Add the lines to a first one up to where all its brackets are closed, or to the end.

    Fewer where they cannot be: at a bracket of its kind at the edge another request or document
    begins, unless the line before says that something follows, as without indentation. Lines that
    only ever open are so looked at twice or thrice, not once for each.

    Args:
        is_torn: the lines are of what was read as one document and is none: no bracket at the edge
            is within one.

    Returns:
        Whether the lines ended before.
    """
    opener = unmarked(document[0])[:1]
    size, depth = len(document[0]), depth_of(document[0])
    while depth > 0 and size < LONGEST_LINE:
        line = _next(waiting, lines)
        if not line:
            return True
        more = depth_of(line)
        is_other = line.startswith(BYTE_ORDER_MARK)
        if line.startswith(opener) and begins_document(line):
            if following := _next(waiting, lines):
                waiting.appendleft(following)
            is_within = document[-1].rstrip().endswith((b",", b"[", b":"))
            is_other |= is_torn or not is_within or bool(REQUEST_KEY.match(following.lstrip()))
        if is_other or (line.startswith(opener) and REQUEST_KEY.search(line)):
            waiting.appendleft(line)
            break
        document.append(line)
        size += len(line)
        depth += more
    return False


def _is_readable_by_lines(document: list[bytes]) -> bool:
    """Whether it is a bracket alone and requests, the last of them without a comma."""
    first, *requests = document
    return (
        len(unmarked(first).strip()) == 1
        and all(each.startswith(b"{") and REQUEST_KEY.search(each) for each in requests)
        and _is_json(document[-1])
    )


def _next(waiting: deque[bytes], lines: Iterator[bytes]) -> bytes:
    return waiting.popleft() if waiting else next(lines, b"")


def _is_json(text: bytes) -> bool:
    try:
        deque(requests_in(text), maxlen=0)
    except ValueError:
        return False
    return True


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


def torn_requests(content: bytes) -> list[bytes]:
    """The requests of a list that is no JSON, told apart by how requests begin."""
    text = unmarked(content.strip())
    first, *others = BEFORE_REQUEST.split(text.removesuffix(b"]"))
    return [first[1:], *others] if others and text.startswith(b"[") else [content]


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
