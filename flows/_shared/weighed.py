"""How much a body holds, found before it is parsed: each value is an object in memory, many times
as long as its text. The work, and what is held meanwhile, is small and bounded."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_Field = tuple[Descriptor | None, int]
NO_FIELD: _Field = (None, 0)
PIECE_BYTES = 64 * 1024
OPENERS = (b",", b"[", b"{")
ESCAPED = re.compile(rb'\\[\\"]')
VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5
SIZES: Mapping[int, int] = {
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_FIXED64: 8,
    FieldDescriptor.TYPE_SFIXED64: 8,
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4,
    FieldDescriptor.TYPE_SFIXED32: 4,
}
# Fields that senders of before 0.15 of OTLP use, by the message that they stand in.
FORMER_FIELDS: Mapping[tuple[str, int], str] = {
    ("ResourceLogs", 1000): "scope_logs",
    ("ResourceMetrics", 1000): "scope_metrics",
}


def outside_texts(text: bytes) -> Iterator[bytes]:
    """What of JSON stands outside of its texts, a piece at a time."""
    plain = ESCAPED.sub(b"", text) if b"\\" in text else text
    is_within = 0
    for begin in range(0, len(plain), PIECE_BYTES):
        parts = plain[begin : begin + PIECE_BYTES].split(b'"')
        yield b"".join(parts[is_within::2])
        is_within ^= (len(parts) - 1) % 2


def has_more_values(text: bytes, most: int) -> bool:
    """Whether a JSON text has more values than these, an empty list or object counted twice."""
    # Commas and brackets within texts are told apart only where there are so many of them.
    if len(text) <= most or sum(map(text.count, OPENERS)) <= most:
        return False
    found = 0
    for piece in outside_texts(text):
        found += sum(map(piece.count, OPENERS))
        if found > most:
            return True
    return False


def has_more_fields(body: bytes, message: Descriptor, most: int) -> bool:
    """Whether a message of protobuf has more fields than these, with those of the messages in it,
    and the numbers of packed lists. What cannot be read is counted up to there."""
    # A field takes two bytes, and a number of a packed list one.
    if len(body) <= most:
        return False
    try:
        return _count(body, message, most) > most
    except IndexError:
        return False


def _count(body: bytes, message: Descriptor, most: int) -> int:
    """One loop without calls for what most fields are: senders wait for it."""
    found = place = 0
    fields, end = _fields(message), len(body)
    holders: list[tuple[Mapping[int, _Field], int]] = []
    while found <= most:
        if place >= end:
            if not holders:
                break
            fields, end = holders.pop()
            continue
        found += 1
        tag = body[place]
        place += 1
        if tag > 127:
            tag, place = _varint(body, place - 1)
        kind = tag & 7
        if kind == DELIMITED:
            length = body[place]
            place += 1
            if length > 127:
                length, place = _varint(body, place - 1)
            inner, size = fields.get(tag, NO_FIELD)
            if inner is not None:
                holders.append((fields, end))
                fields, end = _fields(inner), place + length
                continue
            place += length
            if size:
                found += length // size
        elif kind == EIGHT_BYTES:
            place += 8
        elif kind == FOUR_BYTES:
            place += 4
        elif kind == VARINT:
            while body[place] > 127:
                place += 1
            place += 1
    return found


@cache
def _fields(message: Descriptor) -> Mapping[int, _Field]:
    """By tag: the message that stands there, or how long each of a packed list's numbers is."""
    found: dict[int, _Field] = {}
    for field in message.fields:
        size = SIZES.get(field.type, 1) if field.is_packed else 0
        found[field.number << 3 | DELIMITED] = (field.message_type, size)
    for (name, number), now in FORMER_FIELDS.items():
        if name == message.name:
            found[number << 3 | DELIMITED] = (message.fields_by_name[now].message_type, 0)
    return found


def _varint(body: bytes, place: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = shift = 0
    while True:
        byte = body[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128 or shift > 63:
            return number, place
        shift += 7
