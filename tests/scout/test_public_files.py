"""Files that others made: rows in are rows out, and their text is what a reference reader reads.

They are test and sample data inside installed packages, and what SCOUT_PUBLIC_FILES names (a folder
of unpacked packages). Nothing of them is kept here.
"""

import csv
import gzip
import io
import json
import os
import site
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook

from flows._shared.errors import PlatformError
from flows.scout import raw
from flows.scout.records import Entity, Payload, Quarantined, Remark, SourceFile
from flows.scout.rules import choose_delimiter
from flows.scout.source import examine, read_rows

ENDS = (".csv", ".tsv", ".xlsx", ".csv.gz")
MAX_BYTES = 8 << 20


def found() -> list[Path]:
    folders = [
        *map(Path, site.getsitepackages()),
        *map(Path, filter(None, [os.environ.get("SCOUT_PUBLIC_FILES")])),
    ]
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.name.lower().endswith(ENDS)
        and not path.name.startswith(".")
        and path.is_file()
        and 0 < path.stat().st_size < MAX_BYTES
    )


def source_of(path: Path) -> str:
    """The installed package, or the folder below the one that SCOUT_PUBLIC_FILES names."""
    roots = [*map(Path, site.getsitepackages()), Path(os.environ.get("SCOUT_PUBLIC_FILES", "/-"))]
    return next(path.relative_to(root).parts[0] for root in roots if path.is_relative_to(root))


def reference(path: Path, encoding: str) -> list[list[str]]:
    """All rows that are not blank, by Python's own reader and by openpyxl's full one."""
    if path.suffix.lower() == ".xlsx":
        book = load_workbook(path, data_only=True)
        rows = [
            ["" if cell is None else said(cell) for cell in row]
            for sheet in book.worksheets
            if sheet.sheet_state == "visible"
            for row in sheet.iter_rows(values_only=True)
        ]
        return [_without_end(row) for row in rows if "".join(row).strip()]
    packed = path.read_bytes()
    content = gzip.decompress(packed) if path.suffix.lower() == ".gz" else packed
    text = content.decode(encoding, "surrogateescape")
    first = next((line for line in text.splitlines() if line.strip(",;\t| ")), "")
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter=choose_delimiter(text[:4096], first)
    )
    return [row for row in lines if "".join(row).strip()]


def sheets(path: Path) -> int:
    return len(load_workbook(path, read_only=True).sheetnames)


def said(cell: Any) -> str:
    if isinstance(cell, datetime):
        return str(cell.date()) if cell.time() == time() else str(cell.replace(microsecond=0))
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(float(f"{cell:.15g}")) if isinstance(cell, float) else str(cell)


def _without_end(row: list[str]) -> list[str]:
    while row and not row[-1].strip():
        row = row[:-1]
    return row


def test_rows_in_are_rows_out_and_their_text_is_that_of_a_reference_reader(database: str) -> None:
    paths = found()
    if len(paths) < 20:
        pytest.skip(f"{len(paths)} public files are installed; SCOUT_PUBLIC_FILES names more")
    differing, refused, rows_in = [], [], 0
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        for path in paths:
            file = SourceFile(path.name, "csv_upload", lambda path=path: path.open("rb"))  # type: ignore[misc]
            try:
                facts = examine(file, "cp1252")
                rows = list(read_rows(file, facts.encoding))
            except PlatformError as error:
                refused.append((str(path), str(error)))
                continue
            expected = reference(path, facts.encoding)
            loaded = [json.loads(row.json) for row in rows if isinstance(row, Payload)]
            all_aside = [row for row in rows if isinstance(row, Quarantined)]
            aside = [row for row in all_aside if row.reason != "unknown_header"]
            headers = (
                0 if any("no header" in row.text for row in rows if isinstance(row, Remark)) else 1
            )
            counts = raw.load_file(
                connection, Entity.TRANSACTION, str(path), "csv_upload", facts, "public",
                datetime.now().astimezone(), lambda rows=rows: rows,  # type: ignore[misc]
            )  # fmt: skip
            rows_in += counts.rows_read
            if counts.is_new and counts.rows_read != len(loaded) + len(all_aside):
                differing.append((str(path), "the database holds another number"))
            # Each sheet of a workbook has a header, or none.
            is_book = path.suffix.lower() == ".xlsx"
            least = len(expected) - (sheets(path) if is_book else min(headers, len(expected)))
            most = len(expected) if is_book else least
            if not least <= len(loaded) + len(aside) <= most:
                differing.append((str(path), f"{len(expected)} rows, {len(loaded)} + {len(aside)}"))
                continue
            differing += [(str(path), why) for why in _differences(expected, loaded, not aside)]
    told = ", ".join(
        f"{source} {files}" for source, files in Counter(map(source_of, paths)).items()
    )
    print(f"{len(paths)} files ({told}), {rows_in:,} rows, refused: {refused}")
    assert differing == []
    assert len(refused) <= len(paths) // 20


def _differences(
    expected: list[list[str]], loaded: list[dict[str, Any]], is_whole: bool
) -> Iterator[str]:
    """Each loaded row is one of the reference's; where nothing was quarantined, in its place."""
    texts = [
        _without_end(["" if each is None else said(each) for each in row.values()])
        for row in loaded
    ]
    given = [_without_end(row) for row in expected]
    if is_whole and given[len(given) - len(texts) :] == texts:
        return
    there = {tuple(row) for row in given}
    for text in texts:
        if tuple(text) not in there:
            yield f"{text} is not in the file"
            return
