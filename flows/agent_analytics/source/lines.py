"""What is new of a telemetry file, as files of OTLP JSON lines."""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from flows._shared.input_files import open_input
from flows.agent_analytics.records import Rejected, UnreadableTelemetryError
from flows.agent_analytics.rules import otel_lines, shown
from flows.agent_analytics.source.documents import (
    begins_document,
    lines_and_documents,
    requests_in,
    torn_requests,
    unmarked,
)
from flows.agent_analytics.source.ordinary import is_ordinary_line
from flows.agent_analytics.source.parts import FilePart, is_protobuf, read_bytes
from flows.agent_analytics.source.protobuf import protobuf_lines
from flows.agent_analytics.source.rows import (
    EXCERPT,
    lines_of,
    rejected_lines,
    rejected_of,
    short,
)
from flows.agent_analytics.source.written import LineFile, Lines

COPY_BYTES = 1 << 20
# Within a text JSON has no line breaks.
ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
BETWEEN_DOCUMENTS = (b"[", b"]", b"],", b",")
# In other names DuckDB looks for patterns, or for a way to unpack what is not packed.
PLAIN_NAME = re.compile(r"[^*?\[\]{}\ud800-\udfff]*\.(json|jsonl|ndjson)")


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
        with open_input(part.path) as source, target.path.open("wb") as copy:
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
    broken: list[str] = []
    cut: list[bytes] = []
    too_long: list[bytes] = []
    begin = 0
    with open_input(part.path) as packed, gzip.GzipFile(fileobj=packed) as source:
        found = _whole(
            lines_and_documents(_inflated(source, broken, too_long), is_growing=True), cut
        )
        lines = next(found, [])
        while lines:
            target = _scratch(replace(part, begin=begin), folder)
            with target.path.open("wb") as copy:
                while lines and copy.tell() < size:
                    copy.writelines(_as_lines(b"".join(lines)) if len(lines) > 1 else lines)
                    begin += sum(map(len, lines))
                    lines = next(found, [])
            yield target
    name = shown(part.path)
    yield from rejected_lines(name, too_long)
    for error in broken:
        yield Rejected(name, f"the gzip stream is broken: {error}", "")
    # Of a stream that is broken nothing else can be expected.
    for document in [] if broken else cut:
        excerpt = document[:EXCERPT].decode("utf-8", "replace")
        yield Rejected(name, "its last document is not whole", excerpt)


def _whole(found: Iterator[tuple[list[bytes], bool]], cut: list[bytes]) -> Iterator[list[bytes]]:
    """Lines and documents up to one that is not whole, and that one."""
    for lines, is_open in found:
        if is_open:
            cut.append(b"".join(lines))
        else:
            yield lines


def _inflated(source: gzip.GzipFile, broken: list[str], too_long: list[bytes]) -> Iterator[bytes]:
    """The lines up to where the stream breaks, and why it does."""
    try:
        yield from lines_of(source, too_long)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        broken.append(str(error))


def _as_lines(documents: bytes) -> Iterator[bytes]:
    for request in requests_in(documents):
        yield request.translate(ONE_LINE) + b"\n"


def sifted_lines(file: LineFile, folder: Path) -> tuple[list[LineFile], list[Rejected]]:
    """As ``good_lines``, but ordinary lines are as they are: what they hold is not looked at."""
    return _sorted_lines(file, folder, is_sifted=True)


def good_lines(file: LineFile, folder: Path) -> tuple[list[LineFile], list[Rejected]]:
    """Files with the lines that are OTLP, in its one spelling, and why each other was left out.

    The lines of a document that is no JSON are left out together, and a bracket or comma alone on
    a line between documents is nothing.
    """
    return _sorted_lines(file, folder, is_sifted=False)


def _sorted_lines(
    file: LineFile, folder: Path, *, is_sifted: bool
) -> tuple[list[LineFile], list[Rejected]]:
    stem = file.path.stem
    canonical = LineFile(folder / f"good-{stem}.jsonl", file.name, is_canonical=True)
    ordinary = LineFile(folder / f"ordinary-{stem}.jsonl", file.name)
    rejected: list[Rejected] = []
    between: list[Rejected] = []
    too_long: list[bytes] = []
    torn = b""
    with Lines(canonical) as good, Lines(ordinary) as plain, file.path.open("rb") as lines:
        for number, requests, is_ordinary in _requests(lines_of(lines, too_long), is_sifted):
            if is_ordinary:
                plain.write(requests[0])
                torn = b""
                continue
            for text in requests:
                try:
                    for found in otel_lines(text):
                        good.write(short(found.line).encode())
                        rejected += rejected_of(found, file.name, f"line {number}: ")
                    torn = b""
                except UnreadableTelemetryError as error:
                    excerpt = text[:EXCERPT].decode("utf-8", "replace").strip()
                    told = Rejected(file.name, error.seen, f"line {number}: {excerpt}")
                    if text.strip() in BETWEEN_DOCUMENTS:
                        between.append(told)
                    elif torn and _is_within(text, torn):
                        torn = text
                    else:
                        rejected.append(told)
                        torn = text if begins_document(text) else b""
    rejected += rejected_lines(file.name, too_long)
    return [*good.files(), *plain.files()], rejected or between[:1]


def _is_within(line: bytes, before: bytes) -> bool:
    """Whether a line goes on with the document of the line before, and begins no other."""
    if not unmarked(line).startswith((b"{", b"[")):
        return True
    return begins_document(line) and before.rstrip().endswith((b",", b"[", b":"))


def _requests(source: Iterator[bytes], is_sifted: bool) -> Iterator[tuple[int, list[bytes], bool]]:
    """The requests of each line that is not blank, and of each document over many lines, with the
    number of its first line; be they in a list, one behind another or between commas. Any other
    line is one as it is, or several where it is a list. Where they are sifted a line that is an
    ordinary one is told to be, without a look at what it holds."""
    number = 1
    for lines, _ in lines_and_documents(source):
        text = b"".join(lines)
        if is_sifted and text.startswith(b"{") and len(lines) == 1 and is_ordinary_line(text):
            yield number, lines, True
            number += 1
            continue
        try:
            found = [each.translate(ONE_LINE) for each in requests_in(text)]
        except ValueError:
            found = torn_requests(text)
        if text.strip():
            yield number, found, False
        number += len(lines)


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
