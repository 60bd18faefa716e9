"""Texts of a protobuf message of which no description is needed."""

from collections.abc import Iterator

DEEPEST = 40
VARINT, EIGHT_BYTES, COUNTED, FOUR_BYTES = 0, 1, 2, 5
LONGEST_VARINT = 10


def texts_of(message: bytes) -> Iterator[str]:
    """Each field that may be a text, also of messages within; of bytes that are no message all.

    Nobody can tell a text from a message: what may be both is read as both.
    """
    within = [(message, 0)]
    while within:
        part, depth = within.pop()
        fields = _counted(part)
        if fields is None:
            yield part.decode(errors="replace")
            continue
        for field in fields:
            yield field.decode(errors="replace")
            if depth < DEEPEST and len(field) > 1:
                within.append((field, depth + 1))


def _counted(message: bytes) -> list[bytes] | None:
    """The fields of a message that have a length of their own; None where it is none."""
    found: list[bytes] = []
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == VARINT:
            _, place = _varint(message, place)
        elif kind == COUNTED:
            length, place = _varint(message, place)
            found.append(message[place : place + length])
            place += length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            place += 8 if kind == EIGHT_BYTES else 4
        else:
            return None
        if tag < 8 or place > len(message):
            return None
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number and the place behind it; behind the end where there is none."""
    value = 0
    for shift, byte in enumerate(message[place : place + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    return 0, len(message) + 1
