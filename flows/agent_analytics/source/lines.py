"""What is new of a telemetry file, as files of OTLP JSON lines."""

import gzip
import hashlib
import os
import re
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from flows.agent_analytics.records import Rejected, UnreadableTelemetryError
from flows.agent_analytics.rules import otel_lines, shown
from flows.agent_analytics.source.documents import depth_of, requests_in, whole_documents
from flows.agent_analytics.source.parts import (
    BYTE_ORDER_MARK,
    REQUEST,
    FilePart,
    begins_document,
    is_protobuf,
    is_within_document,
    read_bytes,
)
from flows.agent_analytics.source.protobuf import protobuf_lines
from flows.agent_analytics.source.rows import EXCERPT, LONGEST_LINE, rejected_of, short

COPY_BYTES = 1 << 20
# Within a text JSON has no line breaks.
ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
# In other names DuckDB looks for patterns, or for a way to unpack what is not packed.
PLAIN_NAME = re.compile(r"[^*?\[\]{}\ud800-\udfff]*\.(json|jsonl|ndjson)")


@dataclass(frozen=True)
class LineFile:
    """A file of OTLP JSON lines, and the name that a message gives it."""

    path: Path
    name: str


def line_files(part: FilePart, folder: Path, size: int) -> Iterator[LineFile | Rejected]:
    """Files of OTLP JSON lines with the content of the part, each of about this many bytes.

    The file itself where it is one already that nobody writes to. What cannot be read is told
    instead.
    """
    if is_protobuf(part.path):
        yield from _protobuf_files(part, folder, size)
    elif part.is_packed:
        yield from _inflated_files(part, folder, size)
    elif part.is_document:
        target = _scratch(part, folder)
        with target.path.open("wb") as copy:
            copy.writelines(_as_lines(read_bytes(part.path, part.begin, part.end)))
        yield target
    elif _is_whole_file(part) and PLAIN_NAME.fullmatch(str(part.path)):
        yield LineFile(part.path, str(part.path))
    else:
        target = _scratch(part, folder)
        with part.path.open("rb") as source, target.path.open("wb") as copy:
            _copy(source, copy, part.begin, part.end)
        yield target


def _is_whole_file(part: FilePart) -> bool:
    return part.is_quiet and part.begin == 0 and part.end == part.path.stat().st_size


def _copy(source: IO[bytes], copy: IO[bytes], begin: int, end: int) -> None:
    # Read and written, the copy would be a tenth of the time of a load. Linux alone copies within
    # the kernel, and not between file systems of two kinds.
    with suppress(AttributeError, OSError):
        files = source.fileno(), copy.fileno()
        while begin < end and (copied := os.copy_file_range(*files, end - begin, offset_src=begin)):
            begin += copied
    source.seek(begin)
    copy.seek(0, os.SEEK_END)
    while begin < end and (block := source.read(min(COPY_BYTES, end - begin))):
        begin += copy.write(block)


def _inflated_files(part: FilePart, folder: Path, size: int) -> Iterator[LineFile | Rejected]:
    begin = 0
    with gzip.open(part.path, "rb") as source:
        while True:
            target = _scratch(replace(part, begin=begin), folder)
            broken = ""
            most, is_document = size, False
            with target.path.open("wb") as copy:
                try:
                    while _goes_on(copy.tell(), most, source) and (line := source.readline()):
                        if begin + copy.tell() == 0 and begins_document(line):
                            most, is_document = max(size, LONGEST_LINE), True
                        copy.write(line)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    broken = str(error)
                written = copy.tell()
            if is_document:
                _rewrite_documents(target.path)
            if written:
                yield target
            if broken:
                yield Rejected(shown(part.path), f"the gzip stream is broken: {broken}", "")
            if broken or written < most:
                return
            begin += written


def _goes_on(written: int, most: int, source: gzip.GzipFile) -> bool:
    """Whether more belongs into a file: no document is read in two pieces."""
    return written < most or (written < most + LONGEST_LINE and is_within_document(source))


def _as_lines(documents: bytes) -> Iterator[bytes]:
    for request in requests_in(documents):
        yield request.translate(ONE_LINE) + b"\n"


def _rewrite_documents(path: Path) -> None:
    """Documents over many lines become lines; what stands behind them stays as it is."""
    content = path.read_bytes()
    end = whole_documents(content)
    with path.open("wb") as copy:
        copy.writelines(_as_lines(content[:end]))
        copy.write(content[end:])


def good_lines(file: LineFile, folder: Path) -> tuple[LineFile, list[Rejected]]:
    """The file without the lines that are not OTLP, and why each was left out."""
    target = LineFile(folder / f"good-{file.path.name}", file.name)
    rejected: list[Rejected] = []
    with target.path.open("w", encoding="utf-8") as copy, file.path.open("rb") as lines:
        for number, requests in _requests(lines):
            for text in requests:
                try:
                    for found in otel_lines(text):
                        copy.write(f"{short(found.line)}\n")
                        rejected += rejected_of(found, file.name, f"line {number}: ")
                except UnreadableTelemetryError as error:
                    excerpt = text[:EXCERPT].decode("utf-8", "replace").strip()
                    rejected.append(Rejected(file.name, error.seen, f"line {number}: {excerpt}"))
    return target, rejected


def _requests(source: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The requests of each line that is not blank, and of each document over many lines, with the
    number of its first line; be they in a list, one behind another or between commas. Any other
    line is one as it is."""
    waiting: deque[bytes] = deque()
    number = 1
    while line := waiting.popleft() if waiting else source.readline():
        lines = 1
        found = [line]
        if line.startswith(REQUEST) and begins_document(line):
            document = _document(line, waiting, source)
            with suppress(ValueError):
                text = b"".join(document)
                found = [each.translate(ONE_LINE) for each in requests_in(text)]
                lines = len(document)
            waiting.extendleft(reversed(document[lines:]))
        else:
            with suppress(ValueError):
                found = list(requests_in(line))
        if line.strip():
            yield number, found
        number += lines


def _document(first: bytes, waiting: deque[bytes], source: IO[bytes]) -> list[bytes]:
    """The lines from the first one on up to where all its brackets are closed.

    Fewer where they cannot be: a request on a line of its own stands in no object, and an object
    or list that begins at the edge in no other of its kind.
    """
    document, size = [first], len(first)
    depth = depth_of(first)
    opener = first.lstrip(BYTE_ORDER_MARK)[:1]
    while depth > 0 and size < LONGEST_LINE:
        line = waiting.popleft() if waiting else source.readline()
        if not line or line.startswith((opener, BYTE_ORDER_MARK)):
            if line:
                waiting.appendleft(line)
            break
        document.append(line)
        size += len(line)
        depth += depth_of(line)
    return document


def _scratch(part: FilePart, folder: Path) -> LineFile:
    name = shown(part.path)
    if part.begin:
        name = f"{name} from byte {part.begin}"
    return LineFile(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.jsonl", name)


def _protobuf_files(part: FilePart, folder: Path, size: int) -> Iterator[LineFile | Rejected]:
    lines = protobuf_lines(part)
    written = 0
    while (line := next(lines, None)) is not None:
        if isinstance(line, Rejected):
            yield line
            continue
        target = replace(_scratch(replace(part, begin=written), folder), name=shown(part.path))
        with target.path.open("w", encoding="utf-8") as copy:
            while isinstance(line, str):
                written += copy.write(f"{line}\n")
                line = next(lines, None) if copy.tell() < size else None
        yield target
        if line is not None:
            yield line
