"""Telemetry files, and which part of each was not loaded yet."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from flows._shared.counted import counted
from flows.agent_analytics.records import Rejected
from flows.agent_analytics.rules import MAXIMUM_BODY_BYTES, shown
from flows.agent_analytics.source.documents import is_cut, whole_documents
from flows.agent_analytics.source.rows import EXCERPT, LONGEST_LINE, is_packed

LINES = (".json", ".jsonl", ".ndjson")
PROTOBUF = (".pb", ".binpb")
LENGTH_BYTES = 4
START_BYTES = 4096
BLOCK_BYTES = 1 << 20
# An exporter writes at least once a minute, and a whole line at a time.
QUIET_SECONDS = 3600
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BETWEEN = b" \t\r\n," + BYTE_ORDER_MARK
# Behind lines a document begins with its bracket alone: what stands further in is part of another.
OPENED = re.compile(rb"^(?:\xef\xbb\xbf)?[\[{][ \t\r]*\n", re.MULTILINE)
REQUEST = (b"{", b"[", BYTE_ORDER_MARK)
MOST_NAMED = 100
LIST_OF_DOCUMENTS = re.compile(rb"\[\s*[\[{]")
NOT_READ = (
    f"not read: its name ends in none of {', '.join(LINES + PROTOBUF)}, nor in these with .gz"
)
UNFINISHED = (
    "is not whole, and nothing was added to the file for an hour: it is loaded once it is whole"
)


@dataclass(frozen=True)
class FilePart:
    """The part of a telemetry file that was not loaded yet.

    Args:
        end: bytes of the file that are read once this part is; up to the last whole line or
            message.
        start_hash: of the first and last bytes up to ``end``, which tell the file from another
            one of the same name.
        is_quiet: whether its writer seems to be done with it.
        is_document: whether it is JSON documents over many lines.
    """

    path: Path
    begin: int
    end: int
    start_hash: str
    modified_ns: int
    is_packed: bool = False
    is_quiet: bool = False
    is_document: bool = False

    @property
    def is_lines(self) -> bool:
        """Whether it can be read from any line on."""
        return not (self.is_packed or self.is_document or is_protobuf(self.path))


def telemetry_files(patterns: Iterable[str]) -> tuple[list[Path], list[Rejected]]:
    """The telemetry files that the patterns name, oldest first, and what is left unread and why.

    A folder names all in it whose names say that they are such files; a pattern names a file
    whatever it is called.
    """
    found: dict[Path, int] = {}
    unread: list[Rejected] = []
    left_out = 0
    for pattern in patterns:
        path = Path(pattern).absolute()
        root = path if path.is_dir() else Path(path.anchor)
        is_folder = root is path
        for child in root.rglob("*") if is_folder else root.glob(str(path.relative_to(root))):
            try:
                status = child.stat()
            except OSError as error:
                reason = f"not read: {error.strerror}"
            else:
                if S_ISDIR(status.st_mode):
                    continue
                reason = "" if S_ISREG(status.st_mode) else "not read: it is no regular file"
                if is_folder and not reason and not _is_telemetry(child):
                    reason = NOT_READ
            if not reason:
                found[child] = status.st_mtime_ns
            elif len(unread) < MOST_NAMED:
                unread.append(Rejected(shown(child), reason, ""))
            else:
                left_out += 1
    if left_out:
        seen = f"not read: {counted(left_out, 'more file')} beside those that are named"
        unread.append(Rejected("telemetry files", seen, ""))
    return sorted(found, key=lambda path: (found[path], str(path))), unread


def _is_telemetry(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(LINES + PROTOBUF)


def is_protobuf(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(PROTOBUF)


def unread_pieces(
    path: Path, read_before: tuple[int, str, int] | None, now: float, size: int
) -> Iterator[FilePart | Rejected]:
    """What of a file is new since (bytes read, hash of its start, time of change), as ``split``.

    A file that grew is read from where reading ended; one that was replaced is read whole. What
    stands behind the last whole line or message is not read; it is told where nothing was added to
    the file for an hour, or where its time lies ahead.

    Args:
        now: seconds since 1970.
    """
    try:
        for part in _unread_parts(path, read_before, now):
            if isinstance(part, FilePart):
                yield from split(part, size)
            else:
                yield part
    except OSError as error:
        yield Rejected(shown(path), f"not read: {error.strerror}", "")


def _unread_parts(
    path: Path, read_before: tuple[int, str, int] | None, now: float
) -> Iterator[FilePart | Rejected]:
    status = path.stat()
    size = status.st_size
    if read_before and (read_before[0], read_before[2]) == (size, status.st_mtime_ns):
        return
    is_quiet = not 0 <= now - status.st_mtime < QUIET_SECONDS
    packed, messages = is_packed(path), is_protobuf(path)
    salt = "messages" if messages else ""
    begin = 0
    is_grown = not packed and read_before and read_before[0] <= size
    if is_grown and read_before and _mark(path, read_before[0], salt) == read_before[1]:
        begin = read_before[0]
    tail = None
    if not packed and not messages and begins_document(_first_line(path, begin)):
        content = read_bytes(path, begin, size) if size - begin <= LONGEST_LINE else b""
        end = begin + whole_documents(content)
        if end < size and not is_quiet:
            # Its writer may be in the middle of it.
            return
        rest = content[end - begin :]
        if begin < end:
            mark = _mark(path, end, salt)
            yield FilePart(
                path, begin, end, mark, status.st_mtime_ns, is_quiet=is_quiet, is_document=True
            )
            begin = end
        if is_cut(rest) and not _has_lines(rest):
            yield Rejected(shown(path), f"its last document {UNFINISHED}", _excerpt(rest, begin))
            return
    if packed:
        end = size
    elif messages:
        begin, end = _whole_messages(path, begin, size)
        if end < size:
            tail = Rejected(shown(path), f"its last message {UNFINISHED}", f"from byte {end}")
    elif (document := _last_document(path, begin, size)) is not None:
        end, is_whole = document
        if not is_whole:
            rest = read_bytes(path, end, size)
            tail = Rejected(shown(path), f"its last document {UNFINISHED}", _excerpt(rest, end))
    else:
        end = _after_last_newline(path, begin, size)
        rest = read_bytes(path, end, min(size, end + LONGEST_LINE + 1))
        if _is_whole(rest):
            end = size
        elif rest.strip():
            tail = Rejected(shown(path), f"its last line {UNFINISHED}", _excerpt(rest, end))
    if begin < end:
        mark = _mark(path, end, salt)
        yield FilePart(path, begin, end, mark, status.st_mtime_ns, packed, is_quiet)
    if tail and is_quiet:
        yield tail


def _mark(path: Path, end: int, salt: str) -> str:
    """Of the first and the last bytes of what is read: senders may begin all files alike."""
    first, last = (
        read_bytes(path, 0, min(end, START_BYTES)),
        read_bytes(path, max(0, end - START_BYTES), end),
    )
    return f"{end}:{hashlib.sha256(salt.encode() + first + last).hexdigest()}"


def read_bytes(path: Path, begin: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(end - begin)


def _excerpt(rest: bytes, begin: int) -> str:
    return f"from byte {begin}: {rest[:EXCERPT].decode('utf-8', 'replace')}"


def _first_line(path: Path, begin: int) -> bytes:
    """The first line from here on that is not blank, without the commas between documents, as far
    as one is read."""
    with path.open("rb") as file:
        file.seek(begin)
        while (line := file.readline(LONGEST_LINE)) and not line.strip(BETWEEN):
            pass
        return line.lstrip(BETWEEN)


def _last_document(path: Path, begin: int, size: int) -> tuple[int, bool] | None:
    """Up to where a file that ends in a document over many lines, or in a part of one, can be read,
    and whether that is all of it; None of any other file."""
    start = max(begin, size - LONGEST_LINE)
    if _last_line(path, begin, size).startswith(b"{"):
        return None
    content = read_bytes(path, start, size)
    *_, last = (None, *(found.start() for found in OPENED.finditer(content)))
    if last is None or not content[:last].strip(BETWEEN):
        return None
    document = content[last:]
    if whole_documents(document) == len(document):
        return size, True
    return (start + last, False) if is_cut(document) and not _has_lines(document) else None


def _last_line(path: Path, begin: int, size: int) -> bytes:
    """The last line that is not blank, as far as a block holds it."""
    end = read_bytes(path, max(begin, size - BLOCK_BYTES), size).rstrip(BETWEEN)
    return end[end.rfind(b"\n") + 1 :]


def begins_document(line: bytes) -> bool:
    """Whether a first line is the beginning of an object or list, as no line of a log is."""
    text = line.strip()
    is_begun = text.endswith((b"{", b"[")) or LIST_OF_DOCUMENTS.match(text) is not None
    return is_begun and line.endswith(b"\n") and not _is_whole(line)


def _has_lines(rest: bytes) -> bool:
    """Whether requests stand, each on a line, behind the first line of an object: it was cut."""
    return rest.lstrip(BETWEEN).startswith(b"{") and any(
        line.startswith(b"{") and _is_whole(line) for line in rest.splitlines()[1:]
    )


def _is_whole(line: bytes) -> bool:
    """Whether more can only be another line. A number, which may have more digits, is not whole."""
    if len(line) > LONGEST_LINE or not line.rstrip().endswith((b"}", b"]", b'"')):
        return False
    try:
        # Nothing of it is held.
        json.loads(line, object_pairs_hook=len, parse_int=len, parse_float=len)
    except ValueError:
        return False
    except RecursionError:
        pass
    return True


def _after_last_newline(path: Path, begin: int, size: int) -> int:
    """Searched backwards: a collector's line can be long, a file of them longer."""
    with path.open("rb") as file:
        end = size
        while end > begin:
            start = max(begin, end - BLOCK_BYTES)
            file.seek(start)
            position = file.read(end - start).rfind(b"\n")
            if position >= 0:
                return start + position + 1
            end = start
    return begin


def _whole_messages(path: Path, begin: int, size: int) -> tuple[int, int]:
    """Where reading begins and ends in a file of one message, or of many behind their lengths."""
    with path.open("rb") as file:
        # No message begins with a zero; the length of one below 16 MiB does.
        if file.read(1) not in (b"", b"\0"):
            return 0, size
        end = begin
        while end + LENGTH_BYTES <= size:
            file.seek(end)
            length = int.from_bytes(file.read(LENGTH_BYTES), "big")
            if length > MAXIMUM_BODY_BYTES:
                # Nothing behind it can be read, and its reader says so.
                return begin, size
            if end + LENGTH_BYTES + length > size:
                break
            end += LENGTH_BYTES + length
    return begin, end


def _next_request(file: BufferedReader) -> int:
    """Where the next line begins that may be a request: no document is read in two pieces."""
    begin = place = file.tell()
    while place - begin < LONGEST_LINE and is_within_document(file) and file.readline():
        place = file.tell()
    return place


def is_within_document(file: BufferedReader | GzipFile) -> bool:
    """Whether the line that is read next looks like one further in, or the last, of a document."""
    return file.peek(1).startswith((b" ", b"\t", b"}", b"]"))


def split(part: FilePart, size: int) -> Iterator[FilePart]:
    """The part in pieces of whole lines of about this many bytes, so that each can be one load."""
    if not part.is_lines:
        yield part
        return
    begin = part.begin
    with part.path.open("rb") as file:
        while part.end - begin > size:
            file.seek(begin + size)
            file.readline()
            end = min(_next_request(file), part.end)
            yield replace(part, begin=begin, end=end, start_hash=_mark(part.path, end, ""))
            begin = end
    if begin < part.end:
        yield replace(part, begin=begin)
