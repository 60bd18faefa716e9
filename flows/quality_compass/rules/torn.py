"""The elements of a document that is no JSON as a whole, one by one."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress

ENTITIES = re.compile(r',?\s*"entity_results"\s*:\s*(?=\[)')
FIRST_NAME = re.compile(r'\{\s*("(?:[^"\\]|\\.)*")\s*:')
BLANK = re.compile(r"[ \t\r\n]*")
# Of each Python counts the lines before it.
MOST_BROKEN = 1_000
_decoder = json.JSONDecoder()


def torn_elements(text: str) -> Iterator[str]:
    """What stands in the list that the text is, or in the entities of the node that it is; the node
    itself comes first. A text that is neither comes whole, and what is broken as it stands: up to
    where an element begins as it does, by whose first name they are told apart. Of many broken
    elements the last goes on to the end."""
    begin = _after_blank(text, 0)
    if not text.startswith("[", begin):
        found = ENTITIES.search(text)
        if found is None:
            yield text
            return
        yield text[:begin] + text[begin : found.start()] + "}"
        begin = found.end()
    before, broken = "", 0
    begin = _after_blank(text, begin + 1)
    while begin < len(text) and text[begin] != "]":
        end = _end_of_whole(text, begin)
        if end is None:
            broken += 1
            end = _end_of_broken(text, begin, before) if broken < MOST_BROKEN else _end(text)
            # What follows the list.
            end = end if end > begin else len(text)
        before = text[begin:end]
        yield before.rstrip()
        begin = _after_blank(text, end)
        if text.startswith(",", begin):
            begin = _after_blank(text, begin + 1)
    behind = text[begin + 1 :].strip()
    if behind not in {"", "}"}:
        yield behind


def _end_of_whole(text: str, begin: int) -> int | None:
    with suppress(ValueError, RecursionError):
        end = _decoder.raw_decode(text, begin)[1]
        following = _after_blank(text, end)
        if text[following : following + 1] in {",", "]", ""}:
            return end
    return None


def _end_of_broken(text: str, begin: int, before: str) -> int:
    name = FIRST_NAME.match(text, begin) or FIRST_NAME.match(before)
    begins = rf",\s*(?=\{{\s*{re.escape(name[1])}\s*:)" if name else r",\s*(?=\{)"
    found = re.compile(begins).search(text, begin)
    return found.start() if found else _end(text)


def _end(text: str) -> int:
    return len(text.rstrip().removesuffix("}").rstrip("]\n\t "))


def _after_blank(text: str, begin: int) -> int:
    found = BLANK.match(text, begin)
    return found.end() if found else begin
