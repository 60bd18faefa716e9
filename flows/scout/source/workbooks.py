"""Workbooks (.xlsx), a row at a time; of the file only its table of strings is held."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice
from math import floor
from typing import Any
from zipfile import BadZipFile, ZipFile

import orjson
from openpyxl import load_workbook
from openpyxl.utils.datetime import from_excel
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import ROW_TAG, WorkSheetParser
from openpyxl.xml.functions import iterparse

from flows._shared.counted import counted
from flows.scout.records import Payload, Quarantined, Remark, Row, SourceFile
from flows.scout.rules import (
    INEXACT_FROM,
    LINES_BEFORE_HEADER,
    UNKNOWN_HEADER,
    differing,
    find_header,
    shown,
    why_unclear,
    why_unstorable_text,
)
from flows.scout.source.containers import check_unpacked_size, unreadable
from flows.scout.source.number_formats import NumberFormat, formats_of

MAX_BYTES_OF_STRINGS = 128 << 20
KEPT_CHARACTERS = 10_000
MAX_COLUMNS = 16_384
LAST_SECOND_OF_A_DAY = 86_399 / 86_400
MAX_ROW_NUMBER = 10**9
# A cell is a few: itself, its value, its formula, the parts of its text.
MAX_ELEMENTS_OF_ROW = 20 * MAX_COLUMNS
# All that the library raises for what is no workbook inside.
BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, EOFError),
    *(RuntimeError, SyntaxError, BadZipFile, InvalidFileException, zlib.error),
)
Cells = list[Any]


def read_workbook(file: SourceFile, sheets: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of the sheets asked for, or of all that are not hidden; each has its own header.

    Numbers are numbers, or texts where their format shows a currency (`Rp 150000`) or zeros before
    them (`00042`), or where they have more digits than a spreadsheet holds
    (`1.23456789012346E+17`); days are ISO dates, formulas are what they came to last.

    Raises:
        FileUnreadableError: it is broken, or lacks a sheet.
    """
    with file.open() as stream:
        try:
            _check_sizes(file, ZipFile(stream))
            stream.seek(0)
            book = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            there = {sheet.title: sheet for sheet in book.worksheets}
            formats = formats_of(book)
        except BROKEN as error:
            raise unreadable(file.name, f"its workbook is broken ({_first_line(error)})") from None
        if missing := [name for name in sheets if name not in there]:
            raise unreadable(
                file.name,
                f"it has no sheet {', '.join(map(shown, missing))}, but "
                f"{', '.join(map(shown, there))}",
            )
        for title, sheet in there.items():
            if sheets and title not in sheets:
                continue
            if not sheets and sheet.sheet_state != "visible":
                yield Remark(f"the hidden sheet {shown(title)} was not read")
                continue
            yield from _read_sheet(title, _cells(file, sheet, formats))


def _check_sizes(file: SourceFile, archive: ZipFile) -> None:
    entries = archive.infolist()
    packed, held = (
        sum(each.compress_size for each in entries), sum(each.file_size for each in entries)
    )  # fmt: skip
    check_unpacked_size(file.name, packed, held)
    for entry in entries:
        if entry.filename.endswith("sharedStrings.xml") and entry.file_size > MAX_BYTES_OF_STRINGS:
            raise unreadable(
                file.name, f"its table of strings is {entry.file_size:,} bytes long: too much"
            )


def _cells(
    file: SourceFile, sheet: Any, formats: Mapping[int, NumberFormat]
) -> Iterator[tuple[int, Cells]]:
    """Rows that hold something, with their numbers."""
    rows = _rows(sheet)
    while True:
        try:
            number, row = next(rows)
            cells = {
                cell["column"]: plain
                for cell in row
                if not _is_blank(
                    plain := _plain(_dated(cell, sheet.parent), formats.get(cell["style_id"]))
                )
            }
            width = max(cells, default=0)
            if width > MAX_COLUMNS:
                raise ValueError(f"a cell in column {width:,}")
            if not 0 <= number <= MAX_ROW_NUMBER:
                raise ValueError("a row number that no sheet has")
        except StopIteration:
            return
        except BROKEN as error:
            raise unreadable(
                file.name, f"its sheet {shown(sheet.title)} is broken ({_first_line(error)})"
            ) from None
        if cells:
            yield number, [cells.get(column) for column in range(1, width + 1)]


def _rows(sheet: Any) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The rows that are there, each with the cells that are there.

    The library's own walk keeps an element of every row, makes up the rows and cells between those
    that are there, however many, and leaves out rows that stand out of order.
    """
    book = sheet.parent
    with sheet._get_source() as source:
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=frozenset(),
            timedelta_formats=frozenset(),
        )
        open_elements: list[Any] = []
        begun_in_row = -1
        for event, element in iterparse(source, events=("start", "end")):
            if event == "start":
                open_elements.append(element)
                if element.tag == ROW_TAG:
                    begun_in_row = 0
                elif begun_in_row >= 0:
                    begun_in_row += 1
                    if begun_in_row > MAX_ELEMENTS_OF_ROW:
                        raise ValueError("a row of too many cells")
                continue
            open_elements.pop()
            if element.tag == ROW_TAG:
                begun_in_row = -1
                # What else is said of a row, such as its height, would be kept.
                element.attrib = {
                    name: element.attrib[name] for name in element.attrib if name == "r"
                }
                yield parser.parse_row(element)
            if begun_in_row < 0 and open_elements:
                open_elements[-1].remove(element)


def _read_sheet(title: str, rows: Iterator[tuple[int, Cells]]) -> Iterator[Row]:
    first = list(islice(rows, LINES_BEFORE_HEADER))
    header = find_header([[_text(cell) for cell in cells] for _, cells in first])
    if header is None:
        return
    if header.remark:
        yield Remark(f"sheet {shown(title)}: {header.remark}")
    for number, cells in first[: header.rows_before]:
        yield _aside(number, "before_header", f"sheet {shown(title)}", cells)
    if header.is_doubtful:
        yield _aside(
            first[0][0], "unknown_header", f"{UNKNOWN_HEADER}; sheet {shown(title)}", first[0][1]
        )
    start = header.rows_before + (0 if header.is_made_up else 1)
    width = len(header.columns)
    for number, cells in chain(first[start:], rows):
        if len(cells) > width:
            detail = f"{counted(len(cells), 'cell')}, the header has {width}; sheet {shown(title)}"
            yield _aside(number, "ragged_row", detail, cells)
        elif unstorable := why_unstorable_text("".join(c for c in cells if isinstance(c, str))):
            yield _aside(number, *unstorable, cells)
        else:
            filled = [*cells, *(None,) * (width - len(cells))]
            if column := differing(header.doubled, [*map(_text, filled)]):
                yield _aside(number, *why_unclear(column), cells)
                continue
            yield Payload(number, orjson.dumps(dict(zip(header.columns, filled, strict=True))))


def _dated(cell: Mapping[str, Any], book: Any) -> Any:
    """The value of a cell, which is a moment where its format shows days.

    The library's own reader takes what is next to midnight for the day that follows.
    """
    value, style = cell["value"], cell["style_id"]
    if value is None or cell["data_type"] != "n" or style not in book._date_formats:
        return value
    is_span = style in book._timedelta_formats
    try:
        within = value if is_span else min(value, floor(value) + LAST_SECOND_OF_A_DAY)
        return from_excel(within, book.epoch, timedelta=is_span)
    except (OverflowError, ValueError):
        return "#VALUE!"


def _plain(cell: Any, number_format: NumberFormat | None = None) -> Any:
    """A cell as JSON has it."""
    match cell:
        case bool():
            return cell
        case int() | float() if abs(cell) < float("inf"):
            return _plain_number(cell, number_format)
        case datetime():
            if cell.time() == time():
                return cell.date().isoformat()
            return cell.replace(microsecond=0).isoformat(sep=" ")
        case date() | time():
            return cell.isoformat()
        case None | str():
            return cell
    return str(cell)


def _plain_number(number: float, number_format: NumberFormat | None) -> float | str:
    """The 15 digits that a spreadsheet holds; a number that has more is a text that says so."""
    plain = float(f"{number:.15g}") if isinstance(number, float) else number
    if abs(plain) >= INEXACT_FROM and not (number_format and number_format.sign):
        return f"{Decimal(plain):.14E}"
    return number_format.shown(plain) if number_format else plain


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _is_blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _aside(number: int, reason: str, detail: str, cells: Cells) -> Quarantined:
    kept = "\t".join(map(_text, cells))[:KEPT_CHARACTERS]
    return Quarantined(number, reason, detail, kept)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
