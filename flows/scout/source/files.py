"""Files of a folder or object store, read twice: once for facts about all bytes, once for rows."""

import codecs
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TextIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from flows._shared.input_files import leads_out, open_input
from flows._shared.listing import find_all
from flows.scout.records import (
    FAILED_MEMBER,
    FileFacts,
    FileUnreadableError,
    FolderUnreadableError,
    Quarantined,
    Remark,
    Row,
    SourceFile,
    Within,
)
from flows.scout.rules import (
    READABLE,
    UNKNOWN_ENCODING,
    decide_encoding,
    encoding_by_letters,
    entity_of,
    is_json,
    is_readable,
    modified_second,
    natural,
    place_of,
    shown,
    storable_name,
)
from flows.scout.source.containers import (
    FIRST_BYTES,
    MAX_DEPTH_OF_CONTAINERS,
    PACKED_MARKS,
    is_workbook,
    kind_of,
    members,
    unpacked,
    unreadable,
)
from flows.scout.source.csv_rows import read_csv
from flows.scout.source.json_rows import find_wrapper, read_json

CHUNK_BYTES = 1 << 20
DEFAULT_FALLBACK = "cp1252"
SCALAR = r'("(\\.|[^"\\])*"|-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null)'
BEGINS_AS_JSON = re.compile(
    rf'\s*(\{{\s*["}}]|\[\s*[\[{{]|\[\s*{SCALAR}\s*,|\[\s*{SCALAR}?\s*\]\s*$)', re.DOTALL
)
MAY_BE_JSON = re.compile(r"\s*([\[{\"\d-]|true|false|null|$)")
MARKS = re.compile(rb"(\xef\xbb\xbf)*")
SAMPLE_BYTES = 1 << 16
# What of a sample says nothing of the letters beyond ASCII, apart from what stands beside them.
WITHIN_ASCII = re.compile(rb"[\x00-\x7f]{3,}")
# What a file without a mark is taken for, as long as nobody says otherwise.
WESTERN = frozenset({"cp1252", "iso8859-1", "iso8859-15"})
ESCAPED_BYTES = "scout-escaped-bytes"


def _escape_bytes(error: UnicodeError) -> tuple[str, int]:
    """Each byte that is no text as half a surrogate pair; Python's own refuses those below 128."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), error.end


codecs.register_error(ESCAPED_BYTES, _escape_bytes)


def list_files(folder: str) -> tuple[list[SourceFile], list[str]]:
    """The files to ingest below a folder, oldest first, and the names left alone.

    Of what changed in the same second, or where the store tells no time, the names decide: in
    ``sales-9`` and ``sales-10`` the number does.

    Args:
        folder: a path, or a URL that fsspec knows (``s3://``, ``gs://``, ``memory://``).

    Raises:
        FolderUnreadableError: there is no such folder, or it may not be read.
    """
    attempted = f"Listing {folder}"
    try:
        system, root = fsspec.url_to_fs(folder)
        if not system.isdir(root):
            raise FolderUnreadableError(
                attempted, "there is no such folder", "Check the setting `folder`"
            )
        closed: list[OSError] = []
        found = dict(find_all(system, root, closed.append))
        if not found and closed:
            raise closed[0]
    except (OSError, ValueError, ImportError) as error:
        raise FolderUnreadableError(
            attempted, f"{type(error).__name__}: {error}", "Check the setting `folder`"
        ) from error
    names = {
        path: str(PurePosixPath(path).relative_to(PurePosixPath(root)))
        for path in sorted(found, key=lambda path: (modified_second(found[path]), natural(path)))
    }
    files = [_file(system, path, name, root) for path, name in names.items() if is_readable(name)]
    files += [_closed(error, root) for error in closed]
    left_alone = [path for path, name in names.items() if not is_readable(name)]
    is_local = isinstance(system, LocalFileSystem)
    return files, [
        storable_name(names[path]) + (_as_link(path, root) if is_local else "")
        for path in left_alone
    ]


def _as_link(path: str, root: str) -> str:
    seen = leads_out(path, root)
    return (
        f" ({seen}: name that folder in `folder`, or put the files themselves here)" if seen else ""
    )


def _closed(error: OSError, root: str) -> SourceFile:
    """A folder that may not be read, as a file that cannot be."""

    def refuse() -> BinaryIO:
        raise error

    path = str(error.filename or root)
    name = str(PurePosixPath(path).relative_to(root)) if path.startswith(root) else path
    return SourceFile(storable_name(f"{name}/"), "csv_upload", refuse, place_of(path))


def _file(system: Any, path: str, name: str, root: str) -> SourceFile:
    def open_bytes() -> BinaryIO:
        if isinstance(system, LocalFileSystem):
            return open_input(path, within=root)
        return cast(BinaryIO, system.open(path, "rb"))

    kind = "json_upload" if is_json(name) else "csv_upload"
    return SourceFile(
        storable_name(name), kind, open_bytes, place_of(system.unstrip_protocol(path))
    )


def examine(file: SourceFile, fallback_encoding: str) -> FileFacts:
    """Hash the file and find its encoding in one pass of constant memory.

    What is packed is hashed as it lies there, and has the encoding of what is in it.
    """
    digest, size = hashlib.sha256(), 0
    guess = _Guess(fallback_encoding)
    with file.open() as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            guess.look_at(chunk)
    if not guess.is_packed:
        return FileFacts(digest.hexdigest(), size, guess.encoding())
    kind = kind_of(file)
    encoding = "" if kind == "zip" else _encoding(unpacked(file, kind), fallback_encoding)
    return FileFacts(digest.hexdigest(), size, encoding)


def _encoding(file: SourceFile, fallback_encoding: str) -> str:
    guess = _Guess(fallback_encoding)
    with file.open() as stream:
        while chunk := stream.read(CHUNK_BYTES):
            guess.look_at(chunk)
    return guess.encoding()


class _Guess:
    """The encoding of bytes that come in chunks."""

    def __init__(self, fallback: str) -> None:
        self._fallback = fallback
        self._start = b""
        self._valid = self._invalid = 0
        self._sample = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    @property
    def is_packed(self) -> bool:
        return self._start.startswith(PACKED_MARKS)

    def look_at(self, chunk: bytes) -> None:
        self._start = self._start or chunk[:FIRST_BYTES]
        if self.is_packed or (chunk.isascii() and not self._decoder.getstate()[0]):
            return
        text = self._decoder.decode(chunk)
        escaped = sum(text.count(chr(code)) for code in range(0xDC80, 0xDD00))
        if escaped and len(self._sample) < SAMPLE_BYTES:
            self._sample += WITHIN_ASCII.sub(_shortened, chunk)[:SAMPLE_BYTES]
        self._invalid += escaped
        self._valid += len(text) - len(text.encode("ascii", "ignore")) - escaped

    def encoding(self) -> str:
        invalid = self._invalid + len(self._decoder.getstate()[0])
        found = decide_encoding(self._start, self._valid, invalid, self._fallback)
        is_guess = found == self._fallback and codecs.lookup(found).name in WESTERN
        return encoding_by_letters(self._sample, found) if is_guess else found


def _shortened(ascii_run: re.Match[bytes]) -> bytes:
    """The first and the last of it, and a blank where words end between them."""
    run = ascii_run[0]
    return run[:1] + (b"" if run[1:-1].isalpha() else b" ") + run[-1:]


def read_rows(
    file: SourceFile,
    encoding: str,
    sheets: Sequence[str] = (),
    fallback_encoding: str = DEFAULT_FALLBACK,
) -> Iterator[Row]:
    """Every row of a file, as a payload or with the reason why it is none. Constant memory.

    Its content decides how it is read, not its name.

    Args:
        encoding: what ``examine`` found.
        sheets: of a workbook, all that are not hidden when empty.
        fallback_encoding: for the files in an archive.

    Raises:
        FileUnreadableError: it is no text, no archive and no workbook, or a broken one.
    """
    yield from _read(file, encoding, sheets, fallback_encoding, 1)


def _read(
    file: SourceFile, encoding: str, sheets: Sequence[str], fallback: str, depth: int
) -> Iterator[Row]:
    kind = kind_of(file)
    if depth > MAX_DEPTH_OF_CONTAINERS:
        raise unreadable(file.name, "it is packed too often")
    if kind == "text":
        yield from _read_text(file, encoding)
    elif kind != "zip":
        inner = unpacked(file, kind)
        found = encoding if depth == 1 else _encoding(inner, fallback)
        yield from _read(inner, found, sheets, fallback, depth + 1)
    elif depth > 1 and not _is_seekable(file):
        raise unreadable(file.name, "it is an archive or a workbook within another file")
    elif is_workbook(file):
        # Its library takes as long to import as all else of a flow, and few files need it.
        from flows.scout.source.workbooks import read_workbook

        yield from read_workbook(file, sheets)
    else:
        yield from _read_archive(file, sheets, fallback, depth)


def _is_seekable(file: SourceFile) -> bool:
    with file.open() as stream:
        return stream.seekable()


def _read_archive(
    file: SourceFile, sheets: Sequence[str], fallback: str, depth: int
) -> Iterator[Row]:
    is_read = False
    failed: list[FileUnreadableError] = []
    for member in members(file):
        if not isinstance(member, SourceFile):
            name = shown(member.filename)
            yield Quarantined(1, "unreadable_member", f"not {READABLE}", name)
            continue
        is_begun = False
        try:
            for row in _read_member(file, member, sheets, fallback, depth):
                is_begun = is_begun or not isinstance(row, Within | Remark)
                yield row
        except FileUnreadableError as error:
            # Half a file would be loaded.
            if is_begun:
                raise
            failed.append(error)
            why = f"{error.seen}. {error.remedy}"
            yield Quarantined(1, FAILED_MEMBER, why, shown(member.name))
        else:
            is_read = True
    if not is_read:
        raise (
            failed[0] if failed else unreadable(file.name, "no file that can be read lies in it")
        )


def _read_member(
    file: SourceFile, member: SourceFile, sheets: Sequence[str], fallback: str, depth: int
) -> Iterator[Row]:
    yield Within(storable_name(f"{file.name}/{member.name}"))
    if entity_of(member.name) is not entity_of(file.name):
        entity = entity_of(file.name).value
        yield Remark(f"{shown(member.name)} was read as {entity}s: the archive's name decides")
    for row in _read(member, _encoding(member, fallback), sheets, fallback, depth + 1):
        if isinstance(row, Quarantined):
            yield row._replace(detail=f"{row.detail}; in {shown(member.name)}")
        elif isinstance(row, Remark):
            yield Remark(f"{shown(member.name)}: {row.text}")
        else:
            yield row


def _read_text(file: SourceFile, encoding: str) -> Iterator[Row]:
    if encoding == UNKNOWN_ENCODING:
        seen = (
            "its letters are of an encoding it does not name, as Shift-JIS, windows-1250 or "
            "windows-1251 are, and too few tell which"
        )
        remedy = "Save it as UTF-8, or name the encoding in `fallback_encoding`"
        raise FileUnreadableError(f"Reading {shown(file.name)}", seen, remedy)
    with file.open() as stream:
        first = stream.read(FIRST_BYTES)
    # The codec takes one mark; files that were put together, or marked twice, begin with more.
    found = MARKS.match(first) if encoding == "utf-8-sig" else None
    marks = found.end() if found else 0
    start = first[marks:].decode(encoding, "replace")
    if BEGINS_AS_JSON.match(start) or (is_json(file.name) and MAY_BE_JSON.match(start)):
        is_lines = is_json(file.name) and not file.name.lower().endswith(".json")
        with _text_of(file, encoding, marks) as text:
            wrapper = find_wrapper(text, may_be_broken=not is_lines)
        with _text_of(file, encoding, marks) as text:
            yield from read_json(text, value_per_line=is_lines, wrapper=wrapper)
    else:
        with _text_of(file, encoding, marks) as text:
            yield from read_csv(text)


@contextmanager
def _text_of(file: SourceFile, encoding: str, marks: int) -> Iterator[TextIO]:
    with file.open() as raw:
        raw.read(marks)
        yield io.TextIOWrapper(
            io.BufferedReader(cast(Any, raw), CHUNK_BYTES) if not hasattr(raw, "read1") else raw,
            encoding=encoding,
            errors=ESCAPED_BYTES,
            newline="",
        )
