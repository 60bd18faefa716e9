"""CSV as people export it: any delimiter, ragged rows, stray quotes.

A quote that is opened and never closed would swallow the rest of the file. Where a record of
several lines does not fit, only its first line is quarantined and the others are read again.
"""

import csv
import json.encoder
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

from flows.scout.records import Payload, Quarantined, Row
from flows.scout.rules import choose_delimiter, name_columns, why_unstorable_text

MAX_LINE_CHARACTERS = 1 << 20
MAX_LINES_OF_A_RECORD = 200
KEPT_CHARACTERS = 10_000

_quote = json.encoder.encode_basestring


class _Lines:
    """Lines one at a time, remembering those of the current record so that they can go back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self.record: list[str] = []
        self.line_number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self.record) >= MAX_LINES_OF_A_RECORD:
            raise csv.Error(f"a record of more than {MAX_LINES_OF_A_RECORD} lines")
        line = self._waiting.popleft() if self._waiting else self._read()
        self.record.append(line)
        self.line_number += 1
        return line

    def _read(self) -> str:
        line = self._text.readline(MAX_LINE_CHARACTERS)
        if not line:
            raise StopIteration
        return line

    def give_back_all_but_first(self) -> None:
        rest = self.record[1:]
        self._waiting.extendleft(reversed(rest))
        self.line_number -= len(rest)
        del self.record[1:]


def read_csv(text: TextIO) -> Iterator[Row]:
    """Payloads with the columns of the header as keys, all values text as they came.

    The first line that is not blank is the header. Blank lines are no rows.
    """
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    lines = _Lines(text)
    header = ""
    while not header.strip():
        lines.record.clear()
        if not (header := next(lines, "")):
            return
    delimiter = choose_delimiter(header)
    columns = name_columns(next(csv.reader([header], delimiter=delimiter)))
    template = _template(columns)
    width = len(columns)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.record.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _set_aside(lines, "malformed_csv", str(error))
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        if len(fields) != width:
            if not fields or not "".join(fields).strip():
                continue
            yield _set_aside(lines, "ragged_row", f"{len(fields)} fields, the header has {width}")
            continue
        payload = template % tuple(map(_quote, fields))
        if not payload.isascii() or "\\u0000" in payload:
            unstorable = why_unstorable_text("".join(fields))
            if unstorable:
                yield _set_aside(lines, *unstorable)
                continue
        yield Payload(lines.line_number - len(lines.record) + 1, payload)


def _template(columns: tuple[str, ...]) -> str:
    keys = (_quote(name).replace("%", "%%") for name in columns)
    return "{" + ", ".join(f"{key}: %s" for key in keys) + "}"


def _set_aside(lines: _Lines, reason: str, detail: str) -> Quarantined:
    first_line = lines.line_number - len(lines.record) + 1
    lines.give_back_all_but_first()
    kept = "".join(islice(lines.record, 1)).rstrip("\r\n")[:KEPT_CHARACTERS]
    return Quarantined(first_line, reason, detail, kept)
