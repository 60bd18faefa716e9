"""Files as people send them: every row is loaded or quarantined, once, with its line and reason."""

import bz2
import csv
import datetime as dt
import gzip
import io
import json
import lzma
import os
import re
import tarfile
import time
import tracemalloc
import uuid
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any
from unicodedata import category

import fsspec
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from flows._shared.inbox import Delivery, Position
from flows.scout import raw
from flows.scout.records import (
    FileCounts,
    FileUnreadableError,
    FolderUnreadableError,
    Payload,
    Quarantined,
    Remark,
    Row,
    SourceFile,
)
from flows.scout.rules import entity_of, modified_second
from flows.scout.sample import write_sample
from flows.scout.source import (
    csv_rows,
    examine,
    list_files,
    number_formats,
    read_delivery,
    read_rows,
)

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
Load = Callable[[SourceFile], FileCounts]


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        raw.ensure_schema(connection)
        yield connection


@pytest.fixture
def load(connection: psycopg.Connection) -> Load:
    def load(file: SourceFile) -> FileCounts:
        facts = examine(file, "cp1252")
        return raw.load_file(
            connection, entity_of(file.name), file.name, file.source, facts, "batch", NOW,
            lambda: read_rows(file, facts.encoding), place=file.place,
        )  # fmt: skip

    return load


def file_of(folder: Path, name: str, content: bytes) -> SourceFile:
    (folder / name).write_bytes(content)
    return next(file for file in list_files(str(folder))[0] if file.name == name)


def rows_of(folder: Path, name: str, content: bytes) -> list[Row]:
    file = file_of(folder, name, content)
    return list(read_rows(file, examine(file, "cp1252").encoding))


def values(rows: list[Row]) -> list[Any]:
    return [json.loads(row.json) for row in rows if isinstance(row, Payload)]


def aside(rows: list[Row]) -> list[tuple[int, str]]:
    """Without the first row of a file whose columns are unknown, as those of many tests are."""
    return [each for each in all_aside(rows) if each[1] != "unknown_header"]


def all_aside(rows: list[Row]) -> list[tuple[int, str]]:
    return [(row.line_number, row.reason) for row in rows if isinstance(row, Quarantined)]


def archive(contents: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in contents.items():
            target.writestr(name, content)
    return packed.getvalue()


def tar(contents: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as target:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def workbook(**sheets: list[list[Any]]) -> bytes:
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def remarks(rows: list[Row]) -> list[str]:
    return [row.text for row in rows if isinstance(row, Remark)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"id,amount\n1,2\n", [{"id": "1", "amount": "2"}]),
        (b"\xef\xbb\xbfid,amount\n1,2\n", [{"id": "1", "amount": "2"}]),
        (b"Transaction ID;Amount\r\n1;2,50\r\n", [{"transaction_id": "1", "amount": "2,50"}]),
        (b"id\tname\n1\tCaf\xe9\n", [{"id": "1", "name": "Café"}]),
        ("id|name\n1|Café\n".encode(), [{"id": "1", "name": "Café"}]),
        ("id,name\n1,Café\n".encode("utf-16"), [{"id": "1", "name": "Café"}]),
        (b'id,amount\n1,"1,234.50"\n', [{"id": "1", "amount": "1,234.50"}]),
        (
            b'id,text\n1,"two\nlines"\n2,b\n',
            [{"id": "1", "text": "two\nlines"}, {"id": "2", "text": "b"}],
        ),
        (b"\n\nid,text\n\n1,a\n\n\n2,b", [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]),
        (b"id,id,\n1,2,3\n", [{"id": "1", "id_2": "2", "column_3": "3"}]),
        (b'100%,"a""b"\n%s,\\u0000\n', [{"100%": "%s", 'a"b': "\\u0000"}]),
        (b"", []),
        (b"id,amount\n", []),
        (b"\xef\xbb\xbf\xef\xbb\xbf\xef\xbc\xa9d,amount\n1,2\n", [{"id": "1", "amount": "2"}]),
        (b'\xef\xbb\xbf\xef\xbb\xbf"ID","Amount"\n1,2\n', [{"id": "1", "amount": "2"}]),
        (b'\xef\xbb\xbf\xef\xbb\xbf[{"ID": 1}]', [{"id": 1}]),
        (b'id,amount\n1,2\n,\n , \t\n"",""\n3,4\n' + b",\n" * 5000, [{"id": "1", "amount": "2"}, {"id": "3", "amount": "4"}]),  # noqa: E501
        (b'sku,"Unit\nPrice"\n1,2\n', [{"sku": "1", "unit_price": "2"}]),
        (b'"Vendor;\r\nname";Amount;"x\r\ny\r\nz"\r\nV;1;2\r\n', [{"vendor;_name": "V", "amount": "1", "x_y_z": "2"}]),  # noqa: E501
        (b"sep=|\r\nsku|na,me,\r\n1|2\r\n", [{"sku": "1", "na,me,": "2"}]),
        ("id,amount\n1,₱2\n".encode("utf-16-le"), [{"id": "1", "amount": "₱2"}]),
        ("id,amount\n1,2\n".encode("utf-16-be"), [{"id": "1", "amount": "2"}]),
        ("id,amount\n1,₱2\n".encode("utf-32"), [{"id": "1", "amount": "₱2"}]),
        (b'\n[{"amount": "1"},\n{"amount": "2"}]', [{"amount": "1"}, {"amount": "2"}]),
        (b'{"amount": "1"}\n{"amount": "2"}', [{"amount": "1"}, {"amount": "2"}]),
        *(
            (f'[{scalar}, \n{{"amount": "1"}}]'.encode(), [json.loads(scalar), {"amount": "1"}])
            for scalar in ("null", "true", "-1.5e3", '"a, \\"b"', "0")
        ),
        (b"[1]", [1]),
        (b"[id],[amount]\n[1],2\n", [{"[id]": "[1]", "[amount]": "2"}]),
        (gzip.compress(b"id,amount\n1,\xe9\n"), [{"id": "1", "amount": "é"}]),
        (bz2.compress(b"id,amount\n1,2\n"), [{"id": "1", "amount": "2"}]),
        (lzma.compress(gzip.compress(b"id,amount\n1,2\n")), [{"id": "1", "amount": "2"}]),
        (archive({"a.csv": b"id,amount\n1,2\n", "d/b.jsonl": b'{"id": 3}', "__MACOSX/._a.csv": b"x"}), [{"id": "1", "amount": "2"}, {"id": 3}]),  # noqa: E501
        (archive({"a.csv": "id,amount\n1,é\n".encode("cp1252"), "b.csv": "id,amount\n1,é\n".encode()}), [{"id": "1", "amount": "é"}] * 2),  # noqa: E501
    ],
    # Archives say when they were made: their bytes are no names for tests.
    ids=count(),
)  # fmt: skip
def test_a_dialect_of_csv_is_understood(
    tmp_path: Path, content: bytes, expected: list[Any]
) -> None:
    rows = rows_of(tmp_path, "t.csv", content)
    assert values(rows) == expected
    assert aside(rows) == []


@pytest.mark.parametrize(
    ("content", "good", "quarantined"),
    [
        (b"a,b\n1,2\n3\n4,5\n", 2, [(3, "ragged_row")]),
        (b"a,b\n1,2,3\n4,5\n", 1, [(2, "ragged_row")]),
        (b'a,b\n1,"never closed\n2,x\n3,y\n', 2, [(2, "malformed_csv")]),
        (b'a,b\n"x"y,2\n3,4\n', 1, [(2, "malformed_csv")]),
        ("a,b\né,1\nü,2\n".encode() + b"\xff,3\n4,5\n", 3, [(4, "undecodable_bytes")]),
        (b"a,b\n1\x00,2\n3,4\n", 1, [(2, "unstorable_character")]),
        (b"a,b\n1,2\n3,4\n" + bytes(512), 2, [(4, "ragged_row")]),
        ("a,b\n1,é\n".encode() + bytes(9_000), 1, [(3, "ragged_row")]),
        ("a,b\n1,₱2\n".encode("utf-16-le") + bytes(512), 1, [(3, "ragged_row")]),
        ("a,b\n1,2\n".encode("utf-16-be") + bytes(511), 1, [(3, "ragged_row")]),
        ("a,b\n1,2\n3,4".encode("utf-16") + b"\n", 1, [(3, "undecodable_bytes")]),
    ],
)
def test_a_bad_row_of_csv_costs_that_row_only(
    tmp_path: Path, content: bytes, good: int, quarantined: list[tuple[int, str]]
) -> None:
    rows = rows_of(tmp_path, "t.csv", content)
    assert len(values(rows)) == good
    assert aside(rows) == quarantined


@pytest.mark.parametrize(
    ("row", "reason"), [(b"3", "ragged_row"), (b'3,"cut', "malformed_csv"), (b"\xff", "ragged_row")]
)
def test_a_row_in_which_a_file_ends_is_told_to_be_cut(
    tmp_path: Path, row: bytes, reason: str
) -> None:
    *good, cut = rows_of(tmp_path, "t.csv", b"sku,name\n1,2\n" + row)
    assert len(values(good)) == 1
    assert isinstance(cut, Quarantined)
    assert (cut.line_number, cut.reason) == (3, reason)
    assert "the file ends in this row, which may be cut short" in cut.detail


def test_a_text_that_is_marked_for_a_spreadsheet_is_that_text(tmp_path: Path) -> None:
    content = (
        b'="Transaction ID",Amount\n="0042",1\n"=""0043""",="2"\n ="0044" ,3\n=1+1,=""\n'
        b'="0045","x\ny"\n="0046,4\n'
    )
    rows = values(rows_of(tmp_path, "t.csv", content))
    assert rows == [
        {"transaction_id": "0042", "amount": "1"},
        {"transaction_id": "0043", "amount": "2"},
        {"transaction_id": "0044", "amount": "3"},
        {"transaction_id": "=1+1", "amount": ""},
        {"transaction_id": "0045", "amount": "x\ny"},
        {"transaction_id": '="0046', "amount": "4"},
    ]


def test_the_lines_of_rows_are_those_of_the_file(tmp_path: Path) -> None:
    content = b'\n,,\n"Transaction\nID",amount,x\n,,\n1,2,3\n"a\nb",4,5\n6,7\n'
    rows = rows_of(tmp_path, "t.csv", content)
    assert [row.line_number for row in rows if isinstance(row, Payload | Quarantined)] == [6, 7, 9]


def test_a_file_without_a_header_keeps_its_first_row_and_is_told(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "t.csv", b"T1,2026-10-05,12.50,V1\nT2,2026-10-06,13.00,V1\n")
    assert [next(iter(each.values())) for each in values(rows)] == ["T1", "T2"]
    assert list(values(rows)[0]) == ["column_1", "column_2", "column_3", "column_4"]
    assert len(remarks(rows)) == 1
    assert "no header" in remarks(rows)[0]
    alone = rows_of(tmp_path, "alone.csv", b"T1,2026-10-05,12.50,V1")
    assert len(values(alone)) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"T1,5 Oct 2026,PHP 12.50,Meals\nT2,6 Oct 2026,PHP 13,Meals\n"),
        ("t.csv", b"Alice,Meals,Cebu\nBob,Travel,Davao\n"),
        ("t.xlsx", None),
    ],
    ids=count(),
)
def test_a_first_row_that_may_be_no_header_is_kept(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    sheet = workbook(Sales=[["Alice", "Meals", "PHP 12"], ["Bob", "Travel", "PHP 13"]])
    rows = rows_of(tmp_path, name, content or sheet)
    assert len(values(rows)) == 1
    assert all_aside(rows) == [(1, "unknown_header")]
    (kept,) = (row.text for row in rows if isinstance(row, Quarantined))
    assert "Meals" in kept
    assert "none of its columns is known" in remarks(rows)[0]


@pytest.mark.parametrize(
    "above", ["Currency,PHP,,,,", "Date,2026-10-31", "Name,Vendor ID,Cebu", '"Currency","PHP"']
)
def test_a_row_above_with_a_known_word_is_not_taken_for_the_header(
    tmp_path: Path, above: str
) -> None:
    titles, row = "Transaction ID,Date,Amount,Currency", "T1,2026-10-05,1.50,PHP"
    expected = dict(zip(titles.lower().replace(" ", "_").split(","), row.split(","), strict=True))
    rows = rows_of(tmp_path, "t.csv", f"{above}\n{titles}\n{row}\n".encode())
    assert values(rows) == [expected]
    assert all_aside(rows) == [(1, "before_header")]
    assert remarks(rows) == ["the header is in row 2"]
    cells = [line.split(",") for line in (above, titles, row)]
    in_book = rows_of(tmp_path, "t.xlsx", workbook(Sales=cells))
    assert values(in_book) == [expected]
    assert all_aside(in_book) == [(1, "before_header")]


def test_of_headers_that_name_as_much_the_first_is_taken(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "t.csv", b"id,amount\n1,2\namount,amount\nid,amount\n")
    assert values(rows)[0] == {"id": "1", "amount": "2"}
    assert len(values(rows)) == 3


WIDE = {ord(letter): ord(letter) + 0xFEE0 for letter in "TRANSACTIONtransactionID"}
SPELLINGS = (
    *("Transaction ID", "transaction-id", " TRANSACTION_ID ", "transaction \u2013 id"),
    *("Transaction\u00a0ID", "Transaction\u202f\u2011 Id", "\ufefftransaction_id"),
    *("Transaction\u3000ID".translate(WIDE), "Trans\u00adaction_\u200bID"),
)
FORMS = ("csv", "tsv", "xlsx", "json", "jsonl", "zip", "delivery", "delivery of a list")


def rows_in_the_form(folder: Path, form: str, cells: list[tuple[str, str]]) -> list[Row]:
    """One row as each kind of file has it, its names as they are given."""
    lines = [[name for name, _ in cells], [value for _, value in cells]]
    one = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in cells) + "}"
    separated = "\n".join(("\t" if form == "tsv" else ",").join(line) for line in lines).encode()
    if form.startswith("delivery"):
        body = one if form == "delivery" else f'{{"Records": [{one}]}}'
        received = Delivery(Position(1), "d", "scout", "transactions", NOW, "", body.encode())
        return list(read_delivery(received))
    contents = {
        "xlsx": workbook(a=lines), "json": f"[\n{one}]".encode(), "jsonl": one.encode(),
        "zip": archive({"x.csv": separated}),
    }  # fmt: skip
    return rows_of(folder, f"t.{form}", contents.get(form, separated))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
def test_a_column_has_one_name_however_and_wherever_it_is_spelt(
    tmp_path: Path, form: str, spelling: str
) -> None:
    rows = rows_in_the_form(tmp_path, form, [(spelling, "T1"), ("Amount", "1.50"), ("X y", "")])
    (found,) = values(rows)
    assert {key: value or "" for key, value in found.items()} == {
        "transaction_id": "T1", "amount": "1.50", "x_y": "",
    }  # fmt: skip
    assert all_aside(rows) == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([("Amount", "1"), ("amount ", "2"), ("x", "3")], None),
        ([("Amount", ""), ("AMOUNT", "2"), ("x", "3")], None),
        ([("Amount", "1"), ("amount ", "1"), ("x", "3")], ("amount", "amount_2", "x")),
        ([("Amount", "1"), ("amount ", ""), ("x", "3")], ("amount", "amount_2", "x")),
        ([("amount", "1"), ("My x", "2"), ("my-x", "3")], ("amount", "my_x", "my_x_2")),
    ],
)  # fmt: skip
def test_of_two_columns_of_one_name_none_is_taken_where_they_differ(
    tmp_path: Path, form: str, cells: list[tuple[str, str]], expected: tuple[str, ...] | None
) -> None:
    rows = rows_in_the_form(tmp_path, form, cells)
    found = [[(key, value or "") for key, value in each.items()] for each in values(rows)]
    given = [value for _, value in cells]
    assert found == ([[*zip(expected, given, strict=True)]] if expected else [])
    told = [row for row in rows if isinstance(row, Quarantined)]
    assert [row.reason for row in told] == ([] if expected else ["duplicate_name"])
    assert all("amount is there twice" in row.detail and "2" in row.text for row in told)


def test_values_of_renamed_members_stay_as_they_were_written(tmp_path: Path) -> None:
    text = '{"Unit Price" : 12.50, "n":{"A b":1e2,"A b ":[ ]} ,"\\u0041 \\"":"\\u00e9\\n"}'
    (row,) = rows_of(tmp_path, "t.jsonl", text.encode())
    assert isinstance(row, Payload)
    assert row.json == (rb'{"unit_price": 12.50, "n": {"A b":1e2,"A b ":[ ]}, "a_\"": "\u00e9\n"}')


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1.23e17", '"1.23E+17"'),
        ("1.2345678901234568e+17", '"1.2345678901234568E+17"'),
        ("123456789012345680.0", '"1.234567890123456800E+17"'),
        ("-1e15", '"-1E+15"'),
        ("2.02611E+13", '"2.02611E+13"'),
        ("1.0000010E7", "1.0000010E7"),
        ("1.001e+3", "1.001e+3"),
        ("1001.0", "1001.0"),
        ("1e-3", "1e-3"),
        ("123456789012345678", "123456789012345678"),
        ("12345678901234567890123", "12345678901234567890123"),
        ('"1.23e17"', '"1.23e17"'),
    ],
)
def test_an_id_that_was_shortened_stays_one_to_be_seen(
    tmp_path: Path, written: str, kept: str
) -> None:
    """As a number it would be written out, and one with others that were shortened alike."""
    text = f'{{"Transaction ID": {written}, "sku": {written}, "amount": {written}}}'
    (row,) = rows_of(tmp_path, "t.jsonl", text.encode())
    assert isinstance(row, Payload)
    assert row.json.decode() == f'{{"transaction_id": {kept}, "sku": {kept}, "amount": {written}}}'
    (row,) = rows_of(tmp_path, "t.jsonl", f'{{"sku":{written}}}'.encode())
    assert isinstance(row, Payload)
    assert row.json.decode().replace(" ", "") == f'{{"sku":{kept}}}'


def test_a_transaction_with_a_list_is_no_wrapper_however_its_id_is_spelt() -> None:
    body = b'{"Transaction ID": "T1", "Items": [{"sku": "A"}, {"sku": "B"}]}'
    received = Delivery(Position(1), "d", "scout", "transactions", NOW, "", body)
    (row,) = read_delivery(received)
    assert isinstance(row, Payload)
    assert json.loads(row.json)["transaction_id"] == "T1"


def test_a_column_that_stands_twice_is_told(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "t.csv", b"amount,Amount,x,X\n1,1,3,4\n2,3,4,5\n")
    assert values(rows) == [{"amount": "1", "amount_2": "1", "x": "3", "x_2": "4"}]
    assert remarks(rows) == ["rows that tell amount twice are quarantined where they differ"]


@pytest.mark.parametrize("rows_behind", ["", "3,4\n", '"5\n6",7, ,\n', '8,"never closed,\n'])
def test_blank_fields_behind_a_row_are_no_fields(tmp_path: Path, rows_behind: str) -> None:
    content = f'id,amount\n1,2,\n2,3,," ",\n{rows_behind}9,10,11\n'
    rows = rows_of(tmp_path, "t.csv", content.encode())
    assert values(rows)[:2] == [{"id": "1", "amount": "2"}, {"id": "2", "amount": "3"}]
    assert aside(rows)[-1][1] == "ragged_row"


def test_a_header_of_many_equal_titles_takes_no_long_time(tmp_path: Path) -> None:
    began = time.process_time()
    rows = rows_of(tmp_path, "t.csv", b"a," * 50_000 + b"a\n" + b"1," * 50_000 + b"1\n")
    assert list(values(rows)[0])[-1] == "a_50001"
    assert time.process_time() - began < 10


def test_a_file_of_unknown_columns_is_read_and_told(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "t.csv", b"Country,2019,2020\nPH,1,2\n")
    assert values(rows) == [{"country": "PH", "2019": "1", "2020": "2"}]
    assert remarks(rows) == ["none of its columns is known: Country, 2019, 2020"]


def test_what_stands_above_a_header_is_quarantined(tmp_path: Path) -> None:
    content = "Sales, of October\n\nbranch;Cebu\nTransaction ID;Date;Amount\nT1;5.10.2026;1,50\n"
    rows = rows_of(tmp_path, "t.csv", content.encode())
    assert values(rows) == [{"transaction_id": "T1", "date": "5.10.2026", "amount": "1,50"}]
    assert aside(rows) == [(1, "before_header"), (3, "before_header")]
    assert len(remarks(rows)) == 1


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"%PDF-1.7 and so on", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "before 2007"),
        (b"PAR1" + bytes(range(256)), "Parquet"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "a picture"),
        (b"<html><table><tr><td>T1</td></tr></table></html>", "HTML"),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html><title>Sign in</title>", "HTML"),
        ("\ufeff<html><body>Sign in</body></html>".encode("utf-16-le"), "HTML"),
        ("id,vendor\n1,東京コーヒー店、銀座\n2,あけぼの\n".encode("shift-jis"), "Shift-JIS"),
        ("id,vendor\n1,東京コーヒー店\n".encode("euc-jp"), "an encoding"),
        ("id,vendor\n1,Продукты и вино\n".encode("cp1251"), "windows-1251"),
        (b"id,vendor\n" + b"1,x\n" * 50_000 + "Продукты и вино".encode("cp1251"), "an encoding"),
        (b"id\n\xe9\n" + b"1\n" * 50_000 + "Продукты и вино\n".encode("cp1251"), "an encoding"),
        (gzip.compress("id,vendor\n1,北京烤鸭店\n".encode("gb18030")), "an encoding"),
        ("id,vendor\n1,Čajovna\n2,Růžička\n3,Květinářství\n".encode("cp1250"), "too few tell"),
        ("id,vendor\n1,Yağ ve Ekmeği\n2,Dağ ve Ağa\n".encode("cp1254"), "too few tell"),
        ("id,vendor\n1,Zażółć gęślą jaźń; Łódź, Śląsk\n".encode("cp1250"), "windows-1250"),
        ("id,vendor\n1,Zażółć gęślą jaźń; Łódź, Śląsk\n".encode("iso8859-2"), "an encoding"),
        ("id,vendor\n1,ZAKŁAD ŁÓDŹ\n2,BIAŁYSTOK\n3,KSIĄŻKA\n".encode("cp1250"), "an encoding"),
        (bytes(range(256)) * 20, "no text"),
        (bytes(512), "no text"),
        (tar({"a.csv": b"id\n1\n"}), "a tar archive"),
        (gzip.compress(tar({"a.csv": b"id\n1\n"})), "a tar archive"),
        (archive({"a.csv": lzma.compress(tar({"a.csv": b"id\n1\n"}))}), "a tar archive"),
        (gzip.compress(b"id,amount\n" + b"1,2\n" * 9_000)[:-20], "is broken"),
        (gzip.compress(bytes(10 << 20)) * 30, "unpack to"),
        (archive({"a.csv": b"id,amount\n1,2\n"})[:-30], "is broken"),
        (archive({"a.zip": archive({"a.csv": b"id\n1\n"})}), "within another"),
        (archive({"a.pdf": b"%PDF"}), "no file that can be read"),
        (archive({"a.csv": b"\x89PNG"}), "a picture"),
        (archive({"content.xml": b"<x/>", "mimetype": b"x"}), "OpenDocument"),
        (workbook(a=[["id"]])[:-40], "is broken"),
        (archive({"xl/workbook.xml": b"<oops", "[Content_Types].xml": b"<x/>"}), "is broken"),
        (lzma.compress(gzip.compress(gzip.compress(bz2.compress(b"id\n1\n")))), "too often"),
    ],
    # Archives say when they were made: their bytes are no names for tests.
    ids=count(),
)  # fmt: skip
def test_what_cannot_be_read_is_a_failed_file_with_a_reason(
    tmp_path: Path, content: bytes, seen: str
) -> None:
    with pytest.raises(FileUnreadableError, match=seen) as caught:
        rows_of(tmp_path, "t.csv", content)
    assert any(name in str(caught.value) for name in ("t.csv", "a.csv", "a.zip"))


def test_western_letters_are_read_whatever_stands_beside_them(tmp_path: Path) -> None:
    for text in (
        "Café “Zoë” – 5 €, Straße, Ærø, São João, ÀÉÎÕÜ",
        "ÇA, ‚Größe‘, œuvre, naïveté, ñandú",
        "Alimentação, Educação, Habitação, Manutenção, Refeições",
        "Þjóð, öðlast, síðdegis, áætlun, æðstur",
        "Visa ••••1234, Visa ••••5678, •••, ———, €€€, \xa0\xa0\xa0\xa0Fuel, 1\xa0234,00\xa0€\xa0x",
        "¿Qué? ¿Cuánto? Dime,¿qué? 5 m³, 7m³ de agua, 1¹, nota¹ y nota³, x³, 3½ in, 2¼lb, £5, £ó",
        "col·lecció, paral·lel, d´Ivoire, L´Oréal, N°acte, nºde, l'Haÿ, L'HAŸ, œdème, «mot»là",
        "±5, a±5, a ± b, ¶ y, Nestlé®bar, Café©x, 5µm, µg, 1ªvez, ¡ya!, no¡ya!, 12¥, ¥50, 10¥",
        "ƒ12.00, ƒ13.00, ƒ14.00, ƒ15.00, ƒ16.00, ƒ17.00, ƒ18.00, ƒ19.00 Café",
        "Più caffè, perché città è così, Perù, Forlì; Caffè Ørsted, crème brûlée à Málaga, maïs",
        "Blåbærsyltetøy på Østerås, én idé à la carte, kafè; høvuðsstaðarøkið, bókaútgáva, før",
        "Ações, órgãos, questões; võõrtööline, jõulud; què això més fàcil, ideeën, coördinatie",
        "Kaffihúsið á Þingvöllum, býður góðan daginn, nýtt brauð, þýska, Þórður",
    ):
        rows = rows_of(tmp_path, "t.csv", f"id\tvendor\n1\t{text}\n".encode("cp1252"))
        assert values(rows) == [{"id": "1", "vendor": text}]


@pytest.mark.parametrize(
    ("encodings", "text"),
    [
        (
            ("cp1250", "iso8859-2"),
            "Účet za měsíční platby, Dvořák a syn, Pražská pekárna, řízení příjmů, třída Míru",
        ),
        (("cp1250",), "PEKAŘSTVÍ DVOŘÁK, KVĚTINÁŘSTVÍ RŮŽIČKA, ČERPACÍ STANICE"),
        (("cp1250",), "Štefánik, čítáreň, účtovníčka, platí príčina, Ružinov, Žilina"),
        (("cp1250", "iso8859-2"), "Szőlőhegyi út, előadás, főváros, esőkabát, műszaki áruház"),
        (("cp1250",), "Čišćenje, Pečenjarnica Šibenik, trgovčićška, češljaš"),
        (("cp1254", "iso8859-9"), "Beşiktaş Çarşı Kırtasiye, Şişli Eczanesi, İstanbul, Café Münih"),
        (("cp1254",), "BEŞİKTAŞ ÇARŞI, ŞİŞLİ ECZANESİ, KADIKÖY"),
    ],
)
def test_letters_that_fit_one_encoding_only_decide_which_it_is(
    tmp_path: Path, encodings: tuple[str, ...], text: str
) -> None:
    """Read as Western letters they would be others, and nothing would tell."""
    for encoding in encodings:
        rows = rows_of(tmp_path, "t.csv", f"id\tvendor\n1\t{text}\n".encode(encoding))
        assert values(rows) == [{"id": "1", "vendor": text}]


def named_gzip(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=packed) as target:
        target.write(content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "is_told"),
    [
        (named_gzip("products.json", b"id,amount\n1,2\n"), False),
        (named_gzip("x.pdf", b'[{"id": "1",\n"amount": "2"}]'), False),
        (archive({"a.json": b"id,amount\n1,2\n"}), False),
        (archive({"a.csv": b'[{"id": "1",\n"amount": "2"}]'}), False),
        (archive({"a.xlsx": b"id\tamount\n1\t2\n"}), False),
        (archive({"products.tsv": gzip.compress(b"id,amount\n1,2\n")}), True),
        (bz2.compress(named_gzip("a.xlsx", b"id|amount\n1|2\n")), False),
    ],
    ids=count(),
)
def test_what_the_name_within_a_file_says_decides_nothing(
    connection: psycopg.Connection, load: Load, tmp_path: Path, content: bytes, is_told: bool
) -> None:
    told = load(file_of(tmp_path, "t.csv", content))
    assert told.rows_loaded == 1
    assert any("read as transactions" in each for each in told.remarks) == is_told
    assert connection.execute(
        "select raw_data ->> 'id', raw_data ->> 'amount' from scout.raw_transaction_ingestion"
    ).fetchall() == [("1", "2")]


def test_each_file_of_an_archive_has_a_name_of_its_own(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    content = archive({"d/a.csv": b"id,amount\n1,2\n3\n", "b.csv": b"id,amount\n1,2\n"})
    load(file_of(tmp_path, "t.zip", content))
    assert connection.execute(
        "select source_filename, line_number from scout.raw_transaction_ingestion order by id"
    ).fetchall() == [("t.zip/d/a.csv", 2), ("t.zip/b.csv", 2)]


def test_a_file_of_an_archive_that_cannot_be_read_keeps_no_other_out_and_is_told(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    good = {"good.csv": b"id,amount\n1,2\n3\n", "empty.csv": b"", "also good.json": b'[{"id": 1}]'}
    bad = {
        "a.csv": b"%PDF-1.7", "b.csv": gzip.compress(b"id,amount\n" + b"1,2\n" * 9_000)[:-20],
        "c.csv": workbook(a=[["id"], [1]]), "d.csv": "id,vendor\n1,Продукты\n".encode("cp1251"),
        "not asked for.pdf": b"%PDF",
    }  # fmt: skip
    packed = bytearray(archive({**good, **bad, "e.csv": b"id\n1\n"}))
    # Of the last one in the list of files: it is locked.
    packed[packed.rindex(b"PK\x01\x02") + 8] |= 1
    for name in ("t.zip", "copy.zip", "t.zip"):
        told = load(file_of(tmp_path, name, bytes(packed)))
        assert told.is_new == (not any(tmp_path.glob("copy.zip")))
        failure = str(told.failure)
        for file, why in (
            *(("a", "a PDF"), ("b", "is broken"), ("c", "within another"), ("d", "an encoding")),
            ("e", "locked with a password"),
        ):
            assert re.search(rf"{file}\.csv: [^;]*{why}", failure), failure
        assert "not asked for" not in failure
    assert connection.execute(
        "select source_filename from scout.raw_transaction_ingestion order by 1"
    ).fetchall() == [("t.zip/also good.json",), ("t.zip/good.csv",)]
    assert connection.execute(
        "select reason, count(*) from scout.raw_ingestion_quarantine group by 1 order by 1"
    ).fetchall() == [("failed_member", 5), ("ragged_row", 1), ("unreadable_member", 1)]


def test_a_store_that_fails_within_an_archive_fails_all_of_it(tmp_path: Path) -> None:
    """As one that is read again, and not as a file that is broken."""
    opened = count()
    file = file_of(tmp_path, "t.zip", archive({"a.csv": b"id\n1\n", "b.csv": b"id\n1\n"}))

    def open_for_a_while() -> Any:
        if next(opened) > 6:
            raise TimeoutError("the store does not answer")
        return file.open()

    with pytest.raises(TimeoutError):
        list(read_rows(SourceFile(file.name, file.source, open_for_a_while), ""))


def test_a_workbook_is_read_whatever_its_name_is(tmp_path: Path) -> None:
    content = workbook(
        May=[
            ["Report of May"],
            [],
            ["Transaction\nID", "Date", "Amount", "Note"],
            ["T1", datetime(2026, 5, 1), 12.1 + 0.2, None],
            [None, "  ", None],
            ["T2", datetime(2026, 5, 2, 13, 30), 7, "=1"],
            ["T3", date(2026, 5, 3), "1.234,50", "é", "too much"],
            [4, True, 1.5, "nul"],
            ["T5", datetime(2026, 5, 3, 23, 59, 59, 999_999), dt.time(23, 59, 59, 999_999), None],
            ["T6", datetime(2026, 5, 3, 10, 0, 1), dt.timedelta(hours=25), date(1900, 2, 1)],
        ],
        June=[["sku", "price"], ["A", 2]],
    )
    rows = rows_of(tmp_path, "t.csv", content)
    assert values(rows) == [
        {"transaction_id": "T1", "date": "2026-05-01", "amount": 12.3, "note": None},
        {"transaction_id": "T2", "date": "2026-05-02 13:30:00", "amount": 7, "note": None},
        {"transaction_id": 4, "date": True, "amount": 1.5, "note": "nul"},
        {
            "transaction_id": "T5",
            "date": "2026-05-03 23:59:59",
            "amount": "23:59:59",
            "note": None,
        },
        {
            "transaction_id": "T6",
            "date": "2026-05-03 10:00:01",
            "amount": "1 day, 1:00:00",
            "note": "1900-02-01",
        },
        {"sku": "A", "price": 2},
    ]
    assert aside(rows) == [(1, "before_header"), (7, "ragged_row")]
    file = file_of(tmp_path, "t.csv", content)
    assert values(list(read_rows(file, "", ["June"]))) == [{"sku": "A", "price": 2}]
    with pytest.raises(FileUnreadableError, match="no sheet July, but May, June"):
        list(read_rows(file, "", ["July"]))


@pytest.mark.parametrize(
    ("number_format", "number", "expected"),
    [
        ("General", 999999999999999, 999999999999999),
        ("General", 10**15, "1.00000000000000E+15"),
        ("General", 999999999999999.9, "1.00000000000000E+15"),
        ("0", 123456789012345678, "1.23456789012346E+17"),
        ("0" * 18, -123456789012345679, "-1.23456789012346E+17"),
        ("General", 1.5e300, "1.50000000000000E+300"),
        ('"Rp"#,##0', 10**15, "Rp 1000000000000000"),
        ('"Rp"#,##0', 150000, "Rp 150000"),
        ('"Rp"#,##0', 1500.125, "Rp 1500.1250"),
        ("[$Rp-421] #,##0", 150000, "Rp 150000"),
        ("[$€-407] #,##0.00", -1234.5, "€ -1234.5"),
        ("$#,##0", 1234, "$ 1234"),
        ('_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)', 7, "$ 7"),
        ('#,##0 "kr"', 12, "kr 12"),
        ('#,##0 "kr."', 12, "kr 12"),
        ("#,##0.00\\ [$zł-415]", 12.5, "zł 12.5"),
        ('[Red]"Php "#,##0', 12, "PHP 12"),
        ("[$KM-141A] #,##0", 12, "KM 12"),
        ("[$-409]#,##0.00", 12.5, 12.5),
        ('0 "pcs"', 12, 12),
        ('0 "all"', 12, 12),
        ('0 "ft"', 12, 12),
        ('"rp" 0', 12, "rp 12"),
        ("0.00%", 0.5, 0.5),
        ("General", 42, 42),
        ("0", 42, 42),
        ("00000", 42, "00042"),
        ("00000", 123456, "123456"),
        ("00000", 42.5, 42.5),
        ("000.00", 42, 42),
        ('yyyy"$"', "text", "text"),
    ],
)
def test_what_a_number_format_shows_beside_figures_stays(
    tmp_path: Path, number_format: str, number: Any, expected: Any
) -> None:
    book = Workbook()
    book.active.append(["transaction_id", "amount"])
    book.active.append(["T1", number])
    book.active["B2"].number_format = number_format
    packed = io.BytesIO()
    book.save(packed)
    assert values(rows_of(tmp_path, "t.xlsx", packed.getvalue())) == [
        {"transaction_id": "T1", "amount": expected}
    ]


def test_signs_in_number_formats_are_those_that_amounts_may_have() -> None:
    macros = (ROOT / "dbt_projects/scout/macros/currencies.sql").read_text("utf-8")
    body = {
        name: re.findall(rf"macro {name}\b.*?endmacro", macros, re.DOTALL)[0]
        for name in ("currency_signs", "shared_signs", "iso_currencies")
    }
    signs = re.findall(r'"([^"\s]+)":', body["currency_signs"] + body["shared_signs"])
    words = {sign for sign in signs if all(category(letter) != "Sc" for letter in sign)}
    assert words - {"p", "ft", "rm"} == number_formats.WORDS
    assert {*re.findall(r"\b[A-Z]{3}\b", body["iso_currencies"])} == number_formats.CODES


def test_a_file_of_which_no_row_loads_fails_each_time_and_its_rows_are_kept(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    content = b'transaction_id,amount\n1\n2\n"x"y,1\n'
    for name in ("a.csv", "again.csv"):
        failure = load(file_of(tmp_path, name, content)).failure
        assert failure is not None
        assert "ragged_row (2, first in line 2), malformed_csv (1, first in line 4)" in failure
    kept = connection.execute("select count(*) from scout.raw_ingestion_quarantine").fetchone()
    assert kept == (3,)
    assert load(file_of(tmp_path, "b.csv", b"transaction_id,amount\n")).failure is None


@pytest.mark.parametrize(
    ("name", "content", "good", "quarantined"),
    [
        ("t.jsonl", b'{"a": 1, "a": 2}\n{"a": {"b": 1, "b" : 1}}\n{"a": "b:c", "b": "a\\":"}\n', 1, [(1, "duplicate_name"), (2, "duplicate_name")]),  # noqa: E501
        ("t.json", b'[{"a" :1,"a" :2}, {"a": [{"c": 1}, {"c": 1}]}]', 1, [(1, "duplicate_name")]),
        ("t.json", b"transaction_id,amount\n1,2\n", 1, []),
        ("t.jsonl", b'{"a": 1}\n\n[1]\n"x"\n', 3, []),
        ("t.jsonl", b'{"a": 1}\n{"a": \n{"a": 2}', 2, [(2, "invalid_json")]),
        ("t.jsonl", b'[\n{"a": 1},\n{"a": 2}\n]\n', 2, []),
        ("t.jsonl", b'{\n"a": 1\n}\n{"a": 2}\n', 2, []),
        ("t.jsonl", b'{"a": NaN}\n{"a": "\\u0000"}\n', 0, [(1, "invalid_json"), (2, "unstorable_character")]),  # noqa: E501
        ("t.jsonl", b'{"a": "\\ud800"}\n{"a": "\\ud83d\\ude00"}\n', 1, [(1, "unstorable_character")]),  # noqa: E501
        ("t.jsonl", b'{"a": 1e99999}\n"\xc3\xa9\xc3\xa9"\n"\xff"', 1, [(1, "unstorable_number"), (3, "undecodable_bytes")]),  # noqa: E501
        ("t.jsonl", b"[" * 9000 + b"]" * 9000 + b"\n1\n", 1, [(1, "too_deep")]),
        ("t.json", b'[1,\n' + b'{"a":[' * 9000 + b'"]}\\""' + b"]}" * 9000 + b",\n2, 3]", 3, [(2, "too_deep")]),  # noqa: E501
        ("t.json", b"[1, " + b"[" * 9000 + b"]" * 8999, 1, [(1, "invalid_json")]),
        ("t.json", b'[{"a": 1},\n {"a": [1, 2]}\n, 12]\n', 3, []),
        ("t.json", b'{\n "a": 1\n}\n{\n"a": 2}', 2, []),
        ("t.json", b'{"a": 1}\n{"a": 2}\n', 2, []),
        ("t.json", b'[{"a": 1}, {"a": oops}, {"a": 3}]', 2, [(1, "invalid_json")]),
        ("t.json", b'[oops,\n{"a": 2},\n{"b": 3}]', 2, [(1, "invalid_json")]),
        ("t.json", b'[{"a": 1},\n{"a": 2, "b": [{"c": 1}, {"c":,\n{"a": 3}]', 2, [(2, "invalid_json")]),  # noqa: E501
        ("t.json", b'[{"a": 1},\n{"a": no", "b": "{"},\n{"a": 3}]', 2, [(2, "invalid_json")]),
        ("t.json", b'{\n "a": 1\n}\n{\n "a":,\n "b": {}\n}\n{\n "a": 3\n}', 2, [(4, "invalid_json")]),  # noqa: E501
        ("t.json", b'{\n "a": 1\n},\n{\n "a": 2,\n "b": {\n{\n "a": 3\n}', 2, [(4, "invalid_json")]),  # noqa: E501
        ("t.json", b'[{"a": 1}\n{"a": 2},, {"a": 3}]', 3, [(2, "invalid_json"), (2, "invalid_json")]),  # noqa: E501
        ("t.json", b'{"n": 1, "data": [{"a": 1}, {"a"}, {"a": 3}], "m": 2}', 2, [(1, "invalid_json")]),  # noqa: E501
        ("t.json", b'{"data": [{"a": 1}, {"a": 2}],\n"m": oops}', 2, [(2, "invalid_json")]),
        ("t.jsonl", b'{"data": [{"a": 1}, {"a"}]}\n{"data": [{"a": 2}]}', 1, [(1, "invalid_json")]),
        ("t.json", b'[{"a": 1}\n', 1, [(2, "invalid_json")]),
        ("t.json", b'[1, {"a": ' + b"9" * 5000 + b"}, 2]", 2, [(1, "unstorable_number")]),
        ("t.json", b'[1, {"a": [' + b"1e-999," * 70_000 + b"1]}, 2]", 2, [(1, "unstorable_number")]),  # noqa: E501
        ("t.json", b'{"a": "' + b"1e9999 1e-999," * 70_000 + b'", "b": [1e-999]}', 1, []),
        ("t.json", b'[1, 2] 3', 2, [(1, "invalid_json")]),
        ("t.json", b"[]", 0, []),
        ("t.json", b'{"meta": {"data": [1]}, "transactions": [{"a": 1},\n {"a": 2}]}', 2, []),
        ("t.json", b'{\n"count": 2,\n"Data": [\n{"a": 1},\n{"a": "\\u0000"}\n]\n}\n', 1, [(5, "unstorable_character")]),  # noqa: E501
        ("t.jsonl", b'{"rows": [1, 2, 3], "more": null}\n', 3, []),
        ("t.json", b'{"transactions": [], "next": null}', 0, []),
        ("t.json", b'{"items": [1, 2], "transaction_id": 1}', 1, []),
        ("t.json", b'{"items": [1, 2], "rows": [3]}', 1, []),
        ("t.jsonl", b'{"items": [1, 2]}\n{"items": [3]}\n', 2, []),
        ("t.json", b'{\n"items": [1, 2]\n}\n{\n"sku": 3\n}\n', 2, []),
        ("t.json", b'{\n"transactions": [\n{"a": 1},\n{"a": oops}]}', 1, [(4, "invalid_json")]),
        ("t.json", b"", 0, []),
    ],
)  # fmt: skip
def test_json_is_taken_apart_into_payloads(
    tmp_path: Path, name: str, content: bytes, good: int, quarantined: list[tuple[int, str]]
) -> None:
    rows = rows_of(tmp_path, name, content)
    assert len(values(rows)) == good
    assert aside(rows) == quarantined


def test_what_came_in_is_what_is_loaded_and_quarantined(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    written = write_sample(tmp_path, 3_000, 5, date(2026, 10, 31))
    counts = [load(file) for file in list_files(str(tmp_path))[0]]

    assert sum(each.rows_quarantined for each in counts) == written.broken_rows
    assert sum(each.rows_read for each in counts) == written.payloads + written.broken_rows
    assert connection.execute(
        """
        select
            (select count(*) from scout.raw_transaction_ingestion)
            + (select count(*) from scout.raw_product_ingestion),
            (select count(*) from scout.raw_ingestion_quarantine),
            (select sum(rows_read) from scout.raw_files)
        """
    ).fetchone() == (
        written.payloads,
        written.broken_rows,
        written.payloads + written.broken_rows,
    )


def test_a_file_ingested_twice_adds_nothing_under_any_name(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    content = b"transaction_id,amount\n1,2\n3\n"
    first = load(file_of(tmp_path, "a.csv", content))
    second = load(file_of(tmp_path, "renamed.csv", content))
    assert (first.is_new, first.rows_loaded, first.rows_quarantined) == (True, 1, 1)
    assert (second.is_new, second.rows_read) == (False, 0)
    assert connection.execute(
        "select count(*) from scout.raw_transaction_ingestion"
    ).fetchone() == (1,)


def test_a_file_that_returns_to_what_it_held_is_loaded_again_and_no_copy_of_it(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    ten, seven = b"sku,price\nP1,10\n", b"sku,price\nP1,7\n"
    told = [
        load(file_of(tmp_path, name, content)).is_new
        for name, content in (
            *(("products.csv", ten), ("products.csv", seven), ("copy of products.csv", ten)),
            *(("products.csv", ten), ("products.csv", ten), ("copy of products.csv", ten)),
            *(("copy of products.csv", seven), ("copy of products.csv", ten)),
        )
    ]
    assert told == [True, True, False, True, False, False, True, True]
    prices = "select raw_data ->> 'price' from scout.raw_product_ingestion order by id"
    loaded = [price for (price,) in connection.execute(prices)]
    assert loaded == ["10", "7", "10", "7", "10"]


def test_files_of_one_name_in_two_folders_are_loaded_once_each(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(f"transaction_id,amount\n1,{ord(folder[0])}\n")
        (tmp_path / folder / "b.csv").write_text(f"transaction_id,amount\n{folder},1\n")
    listed = [list_files(str(tmp_path / folder))[0] for folder in ("one", "two", "one", "two")]
    assert [[load(file).is_new for file in files] for files in listed] == [
        *([True, True], [True, True], [False, False], [False, False])
    ]


def test_files_of_a_backlog_are_read_in_the_order_in_which_they_were_changed(
    tmp_path: Path,
) -> None:
    for name, second in (("b.csv", 1), ("sales-10.csv", 2), ("sales-9.csv", 2), ("a.csv", 3)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1_790_000_000 + second, 1_790_000_000 + second))
    names = [file.name for file in list_files(str(tmp_path))[0]]
    assert names == ["b.csv", "sales-9.csv", "sales-10.csv", "a.csv"]


def test_stores_tell_in_several_ways_when_a_file_was_changed() -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    told: list[dict[str, Any]] = [
        {"mtime": noon.timestamp() + 0.7, "created": 1.0},
        {"LastModified": noon},
        {"last_modified": noon.replace(tzinfo=None)},
        {"mtime": None, "updated": "2026-11-01T12:00:00.250Z"},
        {"size": 3},
        {"modified": "Sun, 01 Nov 2026 12:00:00 GMT"},
    ]
    assert [modified_second(each) for each in told] == [int(noon.timestamp())] * 4 + [0, 0]


def test_a_file_that_breaks_off_leaves_nothing_behind(
    connection: psycopg.Connection, tmp_path: Path
) -> None:
    def breaking() -> Iterator[Row]:
        yield from (Payload(line, b"{}") for line in range(1, 30_000))
        raise OSError("the disk went away")

    file = file_of(tmp_path, "a.csv", b"a\n1\n")
    facts = examine(file, "cp1252")
    with pytest.raises(OSError, match="went away"):
        raw.load_file(
            connection, entity_of("a"), "a.csv", "csv_upload", facts, "batch", NOW, breaking
        )
    for table in ("raw_transaction_ingestion", "raw_files"):
        assert connection.execute(f"select count(*) from scout.{table}").fetchone() == (0,)


PIECES = (
    *("", " ", "\u00a0", "a", "b ", '"a,b"', '"x\ny"', '""', '" "', '","', '"', 'a"b', '"a"b'),
    *("\0", "\udc80", "\x1c", "\u2028", "\\", "\t", '"\u3000"', '""""'),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("a,b,c", "1,2,3"))
            | st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(",".join),
            st.sampled_from(("\n", "\r\n", "\r")),
        ).map("".join),
        max_size=12,
    )
)
@example(["a,b,c\n", ' ,"","\u00a0"\n', "a,b,c\n"])
@example(["a,b,c\n", '\x1c,\t," "\n', "a,b,c\n"])
@example(["a,b,c\n", 'a,"x\n', 'y",b\n', "a,b,c\n"])
@example(["a,b,\0\n"])
@example(["a,b,\udc80\n"])
def test_lines_that_are_taken_together_give_the_rows_of_lines_taken_one_by_one(
    lines: list[str],
) -> None:
    text = f"id,amount,date\n{''.join(lines)}"
    together = list(csv_rows.read_csv(io.StringIO(text, newline="")))
    with pytest.MonkeyPatch.context() as one_by_one:
        one_by_one.setattr(csv_rows, "_plain_payloads", lambda *_: None)
        assert together == list(csv_rows.read_csv(io.StringIO(text, newline="")))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(*(st.text(st.characters(exclude_categories=["Cs"]), max_size=12),) * 3),
        max_size=20,
    )
)
def test_any_text_in_csv_arrives_unchanged(
    connection: psycopg.Connection, load: Load, tmp_path: Path, table: list[tuple[str, ...]]
) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["key", "a", "b", "c"])
        writer.writerows([name, *row] for row in table)
    counts = load(next(file for file in list_files(str(tmp_path))[0] if file.name == name))
    kept = [row for row in table if not any("\0" in field for field in row)]
    assert counts.rows_read == counts.rows_loaded + counts.rows_quarantined
    assert counts.rows_loaded == len(kept)
    found = connection.execute(
        "select raw_data ->> 'a', raw_data ->> 'b', raw_data ->> 'c' "
        "from scout.raw_transaction_ingestion where raw_data ->> 'key' = %s order by id",
        (name,),
    ).fetchall()
    assert found == kept


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json", "wrapped.json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    def peak(rows: int) -> int:
        with (tmp_path / name).open("w") as target:
            if name == "t.csv":
                target.write("a,b\n" + "".join(f"{n},{'x' * 90}\n" for n in range(rows)))
            elif name == "t.jsonl":
                target.writelines(json.dumps({"a": n, "b": "x" * 80}) + "\n" for n in range(rows))
            else:
                values = ", ".join(json.dumps({"a": n, "b": "x" * 80}) for n in range(rows))
                target.write(f"[{values}]" if name == "t.json" else f'{{"rows": [{values}]}}')
        return memory_of(tmp_path, rows)

    peak(1_000)
    assert peak(60_000) < peak(20_000) * 1.2


def memory_of(folder: Path, rows: int) -> int:
    """The most that is held while the one file in a folder, of so many rows, is read."""
    (file,) = list_files(str(folder))[0]
    tracemalloc.start()
    facts = examine(file, "cp1252")
    assert sum(isinstance(row, Payload) for row in read_rows(file, facts.encoding)) == rows
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return measured


def sheet_of(rows: str) -> bytes:
    """A workbook whose only sheet holds these rows, as they are written in the file."""
    packed = workbook(t=[["a", "b"]])
    with zipfile.ZipFile(io.BytesIO(packed)) as given:
        contents = {name: given.read(name) for name in given.namelist()}
    head = '<row r="1"><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row>'
    name = "xl/worksheets/sheet1.xml"
    contents[name] = re.sub(
        rb"<sheetData>.*</sheetData>",
        lambda _: f"<sheetData>{head}{rows}</sheetData>".encode(),
        contents[name],
    )
    return archive(contents)


def test_memory_does_not_grow_with_the_rows_of_a_workbook(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        written = "".join(
            f'<row r="{n}" ht="{n}"><c><v>{n}</v></c><c><v>1.5</v></c></row>'
            for n in range(2, rows + 2)
        )
        (tmp_path / "t.xlsx").write_bytes(sheet_of(f"{written}{'<row/>' * rows}"))
        return memory_of(tmp_path, rows)

    peak(100)
    assert peak(6_000) < peak(2_000) * 1.2


def test_rows_and_cells_that_are_not_there_cost_no_time(tmp_path: Path) -> None:
    far = 10**9
    content = sheet_of(
        f'<row r="{far}"><c><v>1</v></c></row><row r="7"><c r="B7"><v>2</v></c></row>'
    )
    found = rows_of(tmp_path, "t.xlsx", content)
    assert [row for row in found if isinstance(row, Payload)] == [
        Payload(far, b'{"a":1,"b":null}'),
        Payload(7, b'{"a":null,"b":2}'),
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (f"<row>{'<c/>' * 400_000}</row>", "too many cells"),
        ('<row><c r="ZZZ2"><v>1</v></c></row>', "column 18,278"),
        ('<row r="1e30"><c><v>1</v></c></row>', "row number"),
        ('<row r="x"><c><v>1</v></c></row>', "could not convert"),
        ('<row><c t="s"><v>99999</v></c></row>', "broken"),
    ],
)
def test_a_sheet_that_no_spreadsheet_writes_is_a_failed_file_with_a_reason(
    tmp_path: Path, row: str, told: str
) -> None:
    with pytest.raises(FileUnreadableError, match=told):
        rows_of(tmp_path, "t.xlsx", sheet_of(row))


def test_files_of_an_object_store_are_listed_and_read() -> None:
    with fsspec.open("memory://scout-inbox/day/transactions.csv", "wb") as file:
        file.write(b"transaction_id\n1\n")
    with fsspec.open("memory://scout-inbox/notes.pdf", "wb") as file:
        file.write(b"%PDF")
    files, left_alone = list_files("memory://scout-inbox")
    assert [file.name for file in files] == ["day/transactions.csv"]
    assert left_alone == ["notes.pdf"]
    assert values(list(read_rows(files[0], "utf-8-sig"))) == [{"transaction_id": "1"}]


def test_a_missing_folder_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FolderUnreadableError, match="no such folder"):
        list_files(str(tmp_path / "missing"))
