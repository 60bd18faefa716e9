"""The members of a JSON object as they stand in its text."""

import json
from typing import NamedTuple

BLANK = " \t\r\n"
_decode = json.JSONDecoder().raw_decode


class Member(NamedTuple):
    """A name, and where its value begins and ends in the text."""

    name: str
    value_from: int
    value_to: int


def members_of(text: str) -> list[Member]:
    """In their order, each as often as it is there; empty if the text is no object.

    Raises:
        ValueError: this is no JSON, or something follows the object.
        RecursionError: it is nested too deep.
    """
    members: list[Member] = []
    at = _past_blank(text, 0)
    if not text.startswith("{", at):
        return members
    at = _past_blank(text, at + 1)
    mark = "," if text[at : at + 1] != "}" else "}"
    while mark == ",":
        name, at = _decode(text, at)
        at = _past_blank(text, at)
        if not isinstance(name, str) or not text.startswith(":", at):
            raise ValueError("no name of a member")
        start = _past_blank(text, at + 1)
        _, end = _decode(text, start)
        members.append(Member(name, start, end))
        at = _past_blank(text, end)
        mark = text[at : at + 1]
        if mark == ",":
            at = _past_blank(text, at + 1)
    if mark != "}" or _past_blank(text, at + 1) < len(text):
        raise ValueError("something follows")
    return members


def _past_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANK:
        at += 1
    return at
