"""CSV as people export it: any delimiter, ragged rows, stray quotes.

Lines are read in blocks. One in which every line is a record that fits becomes payloads without a
step of Python between; any other is looked at record by record. A record that does not fit, or that
goes on past its block, is read again on its own. A quote that is opened and never closed would
swallow the rest of the file: of a record of several lines that does not fit, only the first line is
quarantined and the others are read again.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from operator import methodcaller
from typing import TextIO

import orjson

from flows._shared.counted import counted
from flows.scout.records import Payload, Quarantined, Remark, Row
from flows.scout.rules import (
    LINES_BEFORE_HEADER,
    UNKNOWN_HEADER,
    Header,
    choose_delimiter,
    differing,
    find_header,
    why_unclear,
    why_unstorable_text,
)

MAX_LINE_CHARACTERS = 1 << 20
MAX_LINES_OF_A_RECORD = 200
LINES_OF_A_BLOCK = 200
LINES_AT_ONCE = 10
CHARACTERS_OF_A_BLOCK = 4 << 20
KEPT_CHARACTERS = 10_000
LINES_OF_A_HEADER = 50
BLANK = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
# A text that spreadsheets are told to leave as it is, such as ="0042".
FORMULA = '="'
TEXT_OF_FORMULA = re.compile(r'="([^"]*)"')
SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


class _Lines:
    """Lines of a file that can be given back, and the number of those that are taken."""

    def __init__(self, text: TextIO) -> None:
        self._read = iter(partial(text.readline, MAX_LINE_CHARACTERS), "")
        self._waiting: deque[str] = deque()
        self.taken = 0

    def take(self, at_most: int) -> list[str]:
        """The next lines, fewer than asked for where they are long; none at the end."""
        block: list[str] = []
        room = CHARACTERS_OF_A_BLOCK
        while len(block) < at_most and room > 0:
            few = self._few(min(LINES_AT_ONCE, at_most - len(block)))
            if not few:
                break
            block += few
            room -= sum(map(len, few))
        self.taken += len(block)
        return block

    def _few(self, at_most: int) -> list[str]:
        if self._waiting:
            return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
        return list(islice(self._read, at_most))

    def give_back(self, lines: Sequence[str]) -> None:
        self._waiting.extendleft(reversed(lines))
        self.taken -= len(lines)


def read_csv(text: TextIO) -> Iterator[Row]:
    """Payloads with the columns of the header as keys, all values text as they came.

    Blank lines, and those of nothing but delimiters, are no rows. ``find_header`` says where the
    header is; what stands above it is quarantined.
    """
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    lines = _Lines(text)
    records = _first_records(lines, _declared_delimiter(lines))
    header = find_header([each.fields for each in records])
    if header is None:
        return
    if header.remark:
        yield Remark(header.remark)
    for each in records[: header.rows_before]:
        yield _aside(each.number, "before_header", "it stands above the header", each.lines)
    titles = records[header.rows_before]
    if header.is_doubtful:
        yield _aside(titles.number, "unknown_header", UNKNOWN_HEADER, titles.lines)
    # The delimiter is that of the header: what stands above it may be prose.
    delimiter = titles.delimiter
    columns = header.columns
    behind = records[header.rows_before + (0 if header.is_made_up else 1) :]
    lines.give_back([line for each in behind for line in each.before + each.lines])
    while block := lines.take(LINES_OF_A_BLOCK):
        before = lines.taken - len(block)
        payloads = None if header.doubled else _plain_payloads(block, columns, delimiter)
        if payloads:
            yield from map(Payload, count(before + 1), payloads)
            continue
        done = 0
        together = "".join(block)
        is_odd = header.doubled or "\0" in together
        has_formulas = FORMULA in together
        reader = csv.reader(block, delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                first, after = done, reader.line_num
                if (not fields or not fields[0].strip()) and not "".join(fields).strip():
                    done = after
                    continue
                fields = _without_blank_end(fields, columns)
                if has_formulas:
                    fields = _without_formulas(fields)
                payload = None if is_odd else _json(fields, columns)
                if payload and after - first == 1:
                    done = after
                    yield Payload(before + after, payload)
                    continue
                record = block[first:after]
                if len(record) > 1:
                    _refuse_long_or_ragged(record, fields, columns)
                done = after
                if row := _row(before + first + 1, fields, header, record):
                    yield row
        except csv.Error:
            lines.give_back(block[done:])
            yield from _read_alone(lines, header, delimiter)


def _plain_payloads(
    block: Sequence[str], columns: tuple[str, ...], delimiter: str
) -> list[bytes] | None:
    """One payload of each line, where none is blank and each is a record that fits the header."""
    content = methodcaller("strip", f'{delimiter}"{BLANK}')
    text = "".join(block)
    if "\0" in text or FORMULA in text or not all(map(content, block)):
        return None
    reader = csv.reader(block, delimiter=delimiter, strict=True)
    pairs = map(partial(zip, columns, strict=True), reader)
    try:
        payloads = list(map(orjson.dumps, map(dict, pairs)))
    # A quote out of place, a record of another length, bytes that are no text.
    except (csv.Error, ValueError, orjson.JSONEncodeError):
        return None
    return payloads if len(payloads) == len(block) else None


@dataclass(frozen=True)
class _Record:
    """A record that may be the header, the lines it was read from, and blank ones before them."""

    number: int
    fields: list[str]
    delimiter: str
    before: list[str]
    lines: list[str]


def _declared_delimiter(lines: _Lines) -> str | None:
    """What a first line such as ``sep=;`` says, which spreadsheets write and do not show."""
    block = lines.take(1)
    if block and (declared := SEPARATOR.fullmatch(block[0].strip())):
        return declared[1]
    lines.give_back(block)
    return None


def _first_records(lines: _Lines, delimiter: str | None) -> list[_Record]:
    """The first records of a file, of which one may be the header."""
    records: list[_Record] = []
    before: list[str] = []
    while len(records) < LINES_BEFORE_HEADER and (block := lines.take(LINES_OF_A_HEADER)):
        used = delimiter or choose_delimiter("".join(block), block[0])
        try:
            reader = csv.reader(block, delimiter=used, strict=True)
            fields, count = next(reader), reader.line_num
        except (csv.Error, StopIteration):
            fields, count = next(csv.reader(block[:1], delimiter=used), []), 1
        lines.give_back(block[count:])
        if not "".join(fields).strip():
            before += block[:count]
            continue
        fields = _without_formulas(fields)
        number = lines.taken - count + 1
        records.append(_Record(number, fields, used, before, block[:count]))
        before = []
    return records


def _refuse_long_or_ragged(
    record: Sequence[str], fields: Sequence[str], columns: Sequence[str]
) -> None:
    if len(record) > MAX_LINES_OF_A_RECORD:
        raise csv.Error(f"a record of more than {MAX_LINES_OF_A_RECORD} lines")
    if len(fields) != len(columns) and "".join(fields).strip():
        raise csv.Error(_shape(fields, columns))


def _read_alone(lines: _Lines, header: Header, delimiter: str) -> Iterator[Row]:
    """The next record, or the first line of what is none."""
    record = lines.take(MAX_LINES_OF_A_RECORD)
    number = lines.taken - len(record) + 1
    reader = csv.reader(record, delimiter=delimiter, strict=True)
    reason = "malformed_csv"
    try:
        fields = _without_formulas(_without_blank_end(next(reader), header.columns))
        reason = "ragged_row"
        _refuse_long_or_ragged(record[: reader.line_num], fields, header.columns)
    except csv.Error as error:
        lines.give_back(record[1:])
        yield _aside(number, reason, str(error), record[:1])
        return
    lines.give_back(record[reader.line_num :])
    if row := _row(number, fields, header, record[: reader.line_num]):
        yield row


def _row(number: int, fields: Sequence[str], header: Header, record: Sequence[str]) -> Row | None:
    """A record as a payload; None if it is blank."""
    if not "".join(fields).strip():
        return None
    if len(fields) != len(header.columns):
        return _aside(number, "ragged_row", _shape(fields, header.columns), record)
    if unstorable := why_unstorable_text("".join(fields)):
        return _aside(number, *unstorable, record)
    if column := differing(header.doubled, fields):
        return _aside(number, *why_unclear(column), record)
    return Payload(number, orjson.dumps(dict(zip(header.columns, fields, strict=True))))


def _json(fields: Sequence[str], columns: tuple[str, ...]) -> bytes | None:
    """The payload, unless something about it asks for a closer look."""
    if len(fields) != len(columns):
        return None
    try:
        return orjson.dumps(dict(zip(columns, fields, strict=False)))
    # Bytes that are no text in the encoding of the file are no JSON either.
    except orjson.JSONEncodeError:
        return None


def _without_blank_end(fields: list[str], columns: Sequence[str]) -> list[str]:
    """A row that ends in more delimiters than the header, as spreadsheets write them."""
    width = len(columns)
    return fields if "".join(fields[width:]).strip() else fields[:width]


def _without_formulas(fields: list[str]) -> list[str]:
    return [
        text[1] if (text := TEXT_OF_FORMULA.fullmatch(field.strip())) else field for field in fields
    ]


def _shape(fields: Sequence[str], columns: Sequence[str]) -> str:
    return f"{counted(len(fields), 'field')}, the header has {len(columns)}"


def _aside(number: int, reason: str, detail: str, record: Sequence[str]) -> Quarantined:
    if not record[-1].endswith(("\r", "\n")) and len(record[-1]) < MAX_LINE_CHARACTERS:
        detail = f"{detail}; the file ends in this row, which may be cut short"
    kept = "".join(record).rstrip("\r\n")[:KEPT_CHARACTERS]
    return Quarantined(number, reason, detail, kept)
