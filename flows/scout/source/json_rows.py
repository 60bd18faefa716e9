"""JSON as it is exported: an array of values, a value per line, or values one after the other; or a
list of values with a wrapper around."""

import json
import re
from collections.abc import Iterator
from typing import TextIO

from flows.scout.records import DeliveredRow, Payload, Quarantined
from flows.scout.rules import BLANK, IDENTIFIERS, as_stored, plain_name

WRAPPERS = frozenset({"data", "records", "items", "rows", "transactions", "products"})
# A sale may have items of its own.
PLAIN_WRAPPERS = WRAPPERS - {"items"}
CHUNK_CHARACTERS = 1 << 16
MAX_VALUE_CHARACTERS = 16 << 20
KEPT_CHARACTERS = 10_000
MAX_BROKEN_VALUES = 1_000
# Behind it a value can be broken, and not only be cut.
LONGEST_CUT = 6
ANY_NAME = r'"(?:[^"\\]|\\.)*"'
FIRST_NAME = re.compile(rf"\{{\s*{ANY_NAME}\s*:")
ONE_LINE = bytes.maketrans(b"\t\r\n", b"   ")
# What nothing closes is a text to the end, else each quote in it would be looked at anew.
BRACKET_OR_TEXT = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
# What a number is, is not asked here, and a long one is no number to Python.
_decoder = json.JSONDecoder(parse_int=len, parse_float=len)


def find_wrapper(text: TextIO, *, may_be_broken: bool = True) -> str | None:
    """The name of the list in an object that is no payload itself but wraps exactly one list, and
    is all there is. Reads no further than the first value, of which it holds a part.

    Args:
        may_be_broken: so is one that is no JSON in its list or behind it.
    """
    members = _Members(text, "", 1)
    try:
        return members.name_of_list()
    except ValueError:
        is_wrapper = (
            may_be_broken and len(members.lists) == 1 and members.lists[0] in PLAIN_WRAPPERS
        )
        return members.lists[0] if is_wrapper else None


def read_json(
    text: TextIO, *, value_per_line: bool, wrapper: str | None = None
) -> Iterator[DeliveredRow]:
    """Payloads as their text stands in the file, but for the names of their columns.

    A broken line costs that line. In an array or a sequence of values a broken value costs that
    value, up to where one begins as it does, or as the one before; where none does the rest of the
    file is one quarantined row.

    Args:
        value_per_line: what the name of the file promises; otherwise its beginning decides.
        wrapper: what ``find_wrapper`` found: the payloads are those of this list.
    """
    if wrapper is not None:
        yield from _Values(text, "", 1, wrapper)
        return
    number, first = 1, text.readline(CHUNK_CHARACTERS)
    while first and not first.strip(BLANK):
        number, first = number + 1, text.readline(CHUNK_CHARACTERS)
    # A line that ends so is one of no exporter of lines, whatever the file is called.
    is_begun = first.rstrip(BLANK).endswith(("[", "{", ","))
    if (value_per_line and not is_begun) or not _goes_on(first):
        yield from _lines(text, first, number)
    else:
        yield from _Values(text, first, number)


def _goes_on(first_line: str) -> bool:
    """Whether a value begins on this line that ends on another, or an array of payloads does."""
    stripped = first_line.strip(BLANK)
    if stripped.startswith("["):
        return True
    try:
        _decoder.decode(stripped)
    except json.JSONDecodeError as error:
        return stripped.startswith("{") and error.pos >= len(stripped) - 1
    except RecursionError:
        return False
    return False


def _lines(text: TextIO, line: str, number: int) -> Iterator[DeliveredRow]:
    while line:
        if not line.endswith("\n") and len(line) < MAX_VALUE_CHARACTERS:
            line += text.readline(MAX_VALUE_CHARACTERS - len(line))
        if not line.endswith("\n") and len(line) >= MAX_VALUE_CHARACTERS:
            _skip_line(text)
            yield _aside(number, "too_long", f"over {MAX_VALUE_CHARACTERS} characters", line)
        elif value := line.strip(BLANK):
            yield _row(number, value)
        number += 1
        line = text.readline(CHUNK_CHARACTERS)


def _skip_line(text: TextIO) -> None:
    while (rest := text.readline(CHUNK_CHARACTERS)) and not rest.endswith("\n"):
        continue


class _Reader:
    """A place in a text, and a buffer that holds about one value from there on."""

    def __init__(self, text: TextIO, start: str, line_number: int) -> None:
        self._text = text
        self._buffer = start
        self._at = 0
        self._line_number = line_number
        self._is_ended = False

    def _peek(self) -> str:
        """The next character that is not blank, empty at the end of the file."""
        while True:
            end = self._at
            while end < len(self._buffer) and self._buffer[end] in BLANK:
                end += 1
            self._advance(end)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read(CHUNK_CHARACTERS):
                return ""

    def _advance(self, end: int) -> None:
        self._line_number += self._buffer.count("\n", self._at, end)
        self._at = end

    def _read(self, size: int) -> bool:
        more = self._text.read(size)
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        self._is_ended = not more
        return bool(more)

    def _end_of_value(self) -> int | str:
        """Where the value that begins here ends, or why it does not."""
        while True:
            problem = "it goes on past the end of what is read"
            try:
                _, end = _decoder.raw_decode(self._buffer, self._at)
                # A number at the end of the buffer may have more digits.
                if end < len(self._buffer) or self._is_ended:
                    return end
            except RecursionError:
                # Which of its brackets is the last is all that is asked: the row is put aside.
                if (closed := _end_of_nested(self._buffer, self._at)) is not None:
                    return closed
                problem = "nested too deep to be read, and not closed"
            except json.JSONDecodeError as error:
                problem = error.msg.removesuffix(" at")
                is_cut = error.pos > len(self._buffer) - LONGEST_CUT
                if not is_cut and not error.msg.startswith("Unterminated string"):
                    return problem
            held = len(self._buffer) - self._at
            if held >= MAX_VALUE_CHARACTERS or self._is_ended:
                return problem
            self._read(max(held, CHUNK_CHARACTERS))

    def _skip(self) -> str:
        """The value that begins here, left behind.

        Raises:
            ValueError: it does not end.
        """
        end = self._end_of_value()
        if isinstance(end, str):
            raise ValueError(end)
        value = self._buffer[self._at : end]
        self._advance(end)
        return value

    def _pass_broken(self, before: str) -> str | None:
        """The broken value that begins here, left behind up to where the next one is told.

        Args:
            before: the value before it: exporters write the names of all in one order.

        Returns:
            None where the next one cannot be told.
        """
        found = FIRST_NAME.match(self._buffer, self._at) or FIRST_NAME.match(before)
        name = re.escape(found[0][1:-1].strip()) if found else ANY_NAME
        next_value = re.compile(rf"[,\s]\s*(?=\{{\s*{name}\s*:)")
        while (following := next_value.search(self._buffer, self._at)) is None:
            held = len(self._buffer) - self._at
            if held >= MAX_VALUE_CHARACTERS or self._is_ended:
                break
            self._read(max(held, CHUNK_CHARACTERS))
        rest = self._buffer[self._at : following.start() if following else None]
        closed = _end_of_nested(rest, 0)
        if closed is not None and rest[closed : closed + 100].lstrip(BLANK)[:1] in "]},{":
            rest = rest[:closed]
        elif following is None:
            return None
        self._advance(self._at + len(rest))
        return rest


class _Members(_Reader):
    """The members of an object, of which the caller leaves each value behind."""

    def __init__(self, text: TextIO, start: str, line_number: int) -> None:
        super().__init__(text, start, line_number)
        self.lists: list[str] = []

    def names(self) -> Iterator[str]:
        """Of each member in turn; the place is then where its value begins.

        Raises:
            ValueError: this is no object, or a broken one.
        """
        for mark in self._parts("{", "}"):
            if mark != '"':
                raise ValueError("no name of a member")
            name = plain_name(json.loads(self._skip()))
            self._expect(":")
            self._peek()
            yield name

    def name_of_list(self) -> str | None:
        names = []
        for name in self.names():
            names.append(name)
            if name in IDENTIFIERS:
                return None
            if name in WRAPPERS and self._peek() == "[":
                self.lists.append(name)
                for _ in self._parts("[", "]"):
                    self._skip()
            else:
                self._skip()
        is_clear = len(self.lists) == 1 and all(names.count(each) < 2 for each in WRAPPERS)
        return self.lists[0] if is_clear and not self._peek() else None

    def _parts(self, opening: str, closing: str) -> Iterator[str]:
        """The first character of each part; the place is then there."""
        self._expect(opening)
        if self._peek() == closing:
            self._expect(closing)
            return
        mark = ","
        while mark == ",":
            yield self._peek()
            mark = self._expect(",", closing)

    def _expect(self, *marks: str) -> str:
        if (mark := self._peek()) not in marks:
            raise ValueError(f"none of {marks}")
        self._advance(self._at + 1)
        return mark


class _Values(_Members):
    """The values of an array or of a sequence."""

    def __init__(
        self, text: TextIO, start: str, line_number: int, wrapper: str | None = None
    ) -> None:
        super().__init__(text, start, line_number)
        self._wrapper = wrapper
        self._is_given_up = False

    def __iter__(self) -> Iterator[DeliveredRow]:
        members = self.names()
        if self._wrapper is not None:
            for name in members:
                if name == self._wrapper:
                    break
                self._skip()
        in_array = self._peek() == "["
        if in_array:
            self._advance(self._at + 1)
        yield from self._rows(in_array)
        if in_array and self._peek() == "]":
            self._advance(self._at + 1)
            yield from self._behind(members)
        elif in_array and not self._is_given_up:
            yield _aside(self._line_number, "invalid_json", "the array is not closed", "")

    def _rows(self, in_array: bool) -> Iterator[DeliveredRow]:
        is_next, before, broken = True, "", 0
        while (mark := self._peek()) and not (in_array and mark == "]"):
            if mark == "," and not is_next:
                self._advance(self._at + 1)
                is_next = True
                continue
            if in_array and not is_next:
                if mark != "{":
                    yield self._rest("no comma between two values")
                    return
                yield _aside(self._line_number, "invalid_json", "no comma between two values", "")
            line_number, end = self._line_number, self._end_of_value()
            is_next = False
            if isinstance(end, int):
                before = self._buffer[self._at : end]
                yield _row(line_number, before)
                self._advance(end)
                continue
            broken += 1
            passed = self._pass_broken(before) if broken < MAX_BROKEN_VALUES else None
            if passed is None:
                yield self._rest(end)
                return
            yield _aside(line_number, "invalid_json", end, passed)
            is_next = self._peek() == "{"

    def _behind(self, members: Iterator[str]) -> Iterator[DeliveredRow]:
        """What is no JSON behind the end of the array."""
        try:
            if self._wrapper is not None:
                for _ in members:
                    self._skip()
            if self._peek():
                yield self._rest("something follows the end of the array")
        except ValueError as error:
            yield self._rest(str(error))

    def _rest(self, detail: str) -> Quarantined:
        self._is_given_up = True
        return _aside(
            self._line_number,
            "invalid_json",
            f"{detail}; the rest of the file from here",
            self._buffer[self._at :],
        )


def _end_of_nested(text: str, begin: int) -> int | None:
    """Where the brackets that open here are closed; None where they are not."""
    depth = 0
    for found in BRACKET_OR_TEXT.finditer(text, begin):
        if found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth -= 1
            if not depth:
                return found.end()
    return None


def _row(number: int, value: str) -> DeliveredRow:
    stored = as_stored(value)
    if isinstance(stored, str):
        return Payload(number, stored.encode().translate(ONE_LINE))
    return _aside(number, *stored, value)


def _aside(number: int, reason: str, detail: str, text: str) -> Quarantined:
    return Quarantined(number, reason, detail, text[:KEPT_CHARACTERS])
