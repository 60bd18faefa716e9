"""The elements of a document that is no JSON as a whole, one by one."""

import json
import re
from collections.abc import Iterator

ENTITIES = re.compile(r',?\s*"entity_results"\s*:\s*(?=\[)')
FIRST_NAME = re.compile(r'\{\s*("(?:[^"\\]|\\.)*")\s*:')
BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def torn_elements(text: str) -> Iterator[str]:
    """What stands in the list that the text is, or in the entities of the node that it is; the node
    itself comes first. A text that is neither comes whole, and what is broken as it stands: up to
    where an element begins as it does, by whose first name they are told apart."""
    begin = _after_blank(text, 0)
    if not text.startswith("[", begin):
        found = ENTITIES.search(text)
        if found is None:
            yield text
            return
        yield text[:begin] + text[begin : found.start()] + "}"
        begin = found.end()
    before = ""
    begin = _after_blank(text, begin + 1)
    while begin < len(text) and text[begin] != "]":
        end = _end_of_element(text, begin, before)
        before = text[begin:end]
        yield before.rstrip()
        begin = _after_blank(text, end)
        if text.startswith(",", begin):
            begin = _after_blank(text, begin + 1)


def _end_of_element(text: str, begin: int, before: str) -> int:
    try:
        end = _decoder.raw_decode(text, begin)[1]
        if text[_after_blank(text, end) :][:1] in {",", "]", ""}:
            return end
    except (ValueError, RecursionError):
        pass
    name = FIRST_NAME.match(text, begin) or FIRST_NAME.match(before)
    begins = rf",\s*(?=\{{\s*{re.escape(name[1])}\s*:)" if name else r",\s*(?=\{)"
    following = re.compile(begins).search(text, begin)
    return following.start() if following else len(text.rstrip().removesuffix("}").rstrip("]\n\t "))


def _after_blank(text: str, begin: int) -> int:
    found = BLANK.match(text, begin)
    return found.end() if found else begin
