"""What a file really is, whatever its name says, and the files that lie in it."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from zipfile import BadZipFile, ZipFile, ZipInfo

from flows.scout.records import FileUnreadableError, SourceFile
from flows.scout.rules import READABLE, is_readable, shown

FIRST_BYTES = 4096
MAX_DEPTH_OF_CONTAINERS = 3
MAX_MEMBERS = 10_000
# What unpacks to more than this, and to more than so many times its size, is made to fill disks.
UNPACKED_BYTES = 256 << 20
UNPACKED_TIMES = 200

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
PACKED_MARKS = (*PACKED, b"PK\x03\x04", b"PK\x05\x06")
BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, BadZipFile, RuntimeError)
REFUSED = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007, or a locked one",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"PAR1": "a Parquet file",
    b"\x28\xb5\x2f\xfd": "a file packed by Zstandard",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"SQLite format 3": "a SQLite database",
}
MARK_OF_TAR, PLACE_OF_TAR = b"ustar", 257
MARKUP = re.compile(rb"\s*(<!doctype html|<html|<head|<body|<table|<\?xml)", re.IGNORECASE)
BYTE_ORDER_MARKS = re.compile(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)+")
CONTROL_BYTES = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1a\x1b"))


def kind_of(file: SourceFile) -> str:
    """``text``, ``zip``, ``gzip``, ``bzip2`` or ``xz``, by its first bytes.

    Raises:
        FileUnreadableError: it is something else.
    """
    with file.open() as stream:
        start = stream.read(FIRST_BYTES)
    for mark, kind in PACKED.items():
        if start.startswith(mark):
            return kind
    if start.startswith(PACKED_MARKS):
        return "zip"
    for mark, what in REFUSED.items():
        if start.startswith(mark):
            raise unreadable(file.name, f"it is {what}")
    if start.startswith(MARK_OF_TAR, PLACE_OF_TAR):
        raise unreadable(file.name, "it is a tar archive")
    # Of letters of two bytes those of markup leave one empty.
    if MARKUP.match(BYTE_ORDER_MARKS.sub(b"", start, count=1).replace(b"\0", b"")):
        raise unreadable(file.name, "it is a page of HTML or XML")
    if _is_binary(start):
        raise unreadable(file.name, "its bytes are no text")
    return "text"


def _is_binary(start: bytes) -> bool:
    """Whether it is no UTF-8, holds NUL, and a twentieth of it are control characters, of which a
    text may be made, too; NUL bytes of UTF-16 and UTF-32, and those behind a text, are none."""
    if start and not start.strip(b"\0"):
        return True
    start = start.rstrip(b"\0")
    if 0 not in start or _is_utf8(start):
        return False
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return False
    if start[0::2].count(0) > len(start) * 0.4 or start[1::2].count(0) > len(start) * 0.4:
        return False
    return len(start) - len(start.translate(None, CONTROL_BYTES)) > max(4, len(start) // 20)


def _is_utf8(start: bytes) -> bool:
    """Whether it begins a text in UTF-8, whose last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True


def unreadable(name: str, seen: str) -> FileUnreadableError:
    return FileUnreadableError(f"Reading {shown(name)}", seen, f"Send it as {READABLE}")


def unpacked(file: SourceFile, kind: str) -> SourceFile:
    """The file that a gzip, bzip2 or xz file holds."""
    packed_bytes = _size(file)

    def open_unpacked() -> BinaryIO:
        stream = OPENERS[kind](file.open())
        return cast(BinaryIO, io.BufferedReader(_Bounded(stream, file.name, packed_bytes)))

    name = re.sub(r"\.(gz|bz2|xz)$", "", file.name, flags=re.IGNORECASE)
    return SourceFile(name, file.source, open_unpacked)


def members(file: SourceFile) -> Iterator[SourceFile | ZipInfo]:
    """What lies in a zip archive: files to read, and entries that are none.

    Raises:
        FileUnreadableError: it is broken, or has too many entries.
    """
    with file.open() as stream:
        try:
            entries = ZipFile(stream).infolist()
        except BROKEN as error:
            raise unreadable(file.name, f"its archive is broken ({error})") from None
    if len(entries) > MAX_MEMBERS:
        raise unreadable(file.name, f"it holds more than {MAX_MEMBERS:,} files")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if entry.is_dir() or "__MACOSX" in path.parts or path.name.startswith("."):
            continue
        yield _member(file, entry) if is_readable(path.name) else entry


def _member(file: SourceFile, entry: ZipInfo) -> SourceFile:
    def open_member() -> BinaryIO:
        if entry.flag_bits & 1:
            raise unreadable(entry.filename, "it is locked with a password")
        try:
            stream = ZipFile(file.open()).open(entry)  # noqa: SIM115  its reader closes it
        except (*BROKEN, NotImplementedError) as error:
            if _is_of_the_store(error):
                raise
            raise unreadable(entry.filename, f"it is broken ({error})") from None
        bounded = _Bounded(stream, file.name, entry.compress_size)
        return cast(BinaryIO, io.BufferedReader(bounded))

    return SourceFile(entry.filename, file.source, open_member)


def is_workbook(file: SourceFile) -> bool:
    """Whether this zip archive is a workbook that can be read.

    Raises:
        FileUnreadableError: it is one of another kind.
    """
    with file.open() as stream:
        try:
            archive = ZipFile(stream)
        except BROKEN as error:
            raise unreadable(file.name, f"its archive is broken ({error})") from None
        names = set(archive.namelist()[:MAX_MEMBERS])
    if "xl/workbook.bin" in names:
        raise unreadable(file.name, "it is a binary Excel workbook (.xlsb)")
    if {"content.xml", "mimetype"} <= names:
        raise unreadable(file.name, "it is an OpenDocument file")
    if any(name.startswith(("word/", "ppt/")) for name in names):
        raise unreadable(file.name, "it is a document of Word or PowerPoint")
    return "xl/workbook.xml" in names or "[Content_Types].xml" in names


def check_unpacked_size(name: str, packed: int, held: int) -> None:
    if held > max(UNPACKED_BYTES, UNPACKED_TIMES * packed):
        raise unreadable(name, f"its {packed:,} bytes unpack to {held:,} and more")


def _size(file: SourceFile) -> int:
    """Its bytes; 0 of what is packed itself, which nobody knows before the end."""
    with file.open() as stream:
        return stream.seek(0, io.SEEK_END) if stream.seekable() else 0


def _is_of_the_store(error: Exception) -> bool:
    """Whether bytes did not come, rather than came broken, of which gzip and bzip2 tell alike."""
    is_of_bzip2 = type(error) is OSError and error.errno is None
    return isinstance(error, OSError) and not (is_of_bzip2 or isinstance(error, gzip.BadGzipFile))


class _Bounded(io.RawIOBase):
    """An unpacked stream that says what is wrong with it, and ends a bomb."""

    def __init__(self, stream: Any, name: str, packed: int) -> None:
        self._stream, self._name, self._packed, self._read = stream, name, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._stream.read(len(buffer))
        except BROKEN as error:
            if _is_of_the_store(error):
                raise
            raise unreadable(self._name, f"what is packed in it is broken ({error})") from None
        self._read += len(piece)
        check_unpacked_size(self._name, self._packed, self._read)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()
