"""Telemetry files, and which part of each was not loaded yet."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from flows._shared.counted import counted
from flows._shared.input_files import (
    NO_REGULAR_FILE,
    WILDCARDS,
    InputFileRefusedError,
    leads_out,
    named_part,
    open_input,
)
from flows.agent_analytics.records import InputMissingError, Rejected
from flows.agent_analytics.rules import MAXIMUM_BODY_BYTES, shown
from flows.agent_analytics.source.documents import (
    BYTE_ORDER_MARK,
    REQUEST_KEY,
    begins_document,
    has_requests_within,
    is_cut,
    lines_and_documents,
    whole_documents,
)
from flows.agent_analytics.source.rows import EXCERPT, LONGEST_LINE, is_packed

LINES = (".json", ".jsonl", ".ndjson")
PROTOBUF = (".pb", ".binpb")
LENGTH_BYTES = 4
START_BYTES = 4096
# An exporter writes at least once a minute, and a whole line at a time.
QUIET_SECONDS = 3600
BETWEEN = b" \t\r\n," + BYTE_ORDER_MARK
MOST_NAMED = 100
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
    whatever it is called. What names nothing is left to ``missing`` and ``fits_nothing``.
    """
    found: dict[Path, int] = {}
    unread: list[Rejected] = []
    closed: list[OSError] = []
    left_out = 0
    for pattern in patterns:
        if missing(pattern):
            continue
        is_folder = Path(pattern).is_dir()
        within = named_part(pattern)
        for child in _named(pattern, closed.append):
            try:
                status = child.stat()
            except OSError as error:
                reason = f"not read: {error.strerror}"
            else:
                outside = leads_out(child, within)
                if S_ISDIR(status.st_mode) and not outside:
                    continue
                reason = "" if S_ISREG(status.st_mode) else f"not read: {NO_REGULAR_FILE}"
                if outside:
                    reason = f"not read: {outside}; name where it leads in `inputs`"
                if is_folder and not reason and not _is_telemetry(child):
                    reason = NOT_READ
            if not reason:
                found[child] = status.st_mtime_ns
            elif len(unread) < MOST_NAMED:
                unread.append(Rejected(shown(child), reason, ""))
            else:
                left_out += 1
    unread += [
        Rejected(shown(Path(error.filename)), f"not read: {error.strerror}", "")
        for error in closed[:MOST_NAMED]
    ]
    left_out += len(closed[MOST_NAMED:])
    if left_out:
        seen = f"not read: {counted(left_out, 'more file')} beside those that are named"
        unread.append(Rejected("telemetry files", seen, ""))
    return sorted(found, key=lambda path: (found[path], str(path))), unread


def missing(pattern: str) -> InputMissingError | None:
    """Why a path that is named without wildcards is none; None where it is there."""
    if WILDCARDS.search(pattern):
        return None
    try:
        if S_ISDIR(Path(pattern).stat().st_mode):
            os.scandir(pattern).close()
    except FileNotFoundError:
        seen = "there is no such file or folder"
    except OSError as error:
        seen = str(error.strerror)
    else:
        return None
    return InputMissingError(
        f"Reading {shown(Path(pattern))}",
        seen,
        "Correct it in the parameter `inputs`, or make the folder, readable: an empty one is fine",
    )


def fits_nothing(pattern: str) -> bool:
    """Whether it is a pattern with wildcards, and no file fits it."""
    if not WILDCARDS.search(pattern) or Path(pattern).is_dir():
        return False
    return all(child.is_dir() for child in _named(pattern))


def _named(pattern: str, on_error: Callable[[OSError], None] = lambda _: None) -> Iterable[Path]:
    path = Path(pattern).absolute()
    if path.is_dir():
        walked = os.walk(path, onerror=on_error)
        return (Path(folder, each) for folder, *names in walked for each in chain(*names))
    # It may be the name of a file that has a wildcard in it.
    return [path] if path.exists() else Path(path.anchor).glob(str(path.relative_to(path.anchor)))


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
    except InputFileRefusedError as error:
        yield Rejected(shown(path), f"not read: {error.seen}", "")


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
        if not content and not is_quiet:
            return
        rest = content[end - begin :]
        if begin < end:
            mark = _mark(path, end, salt)
            yield FilePart(
                path, begin, end, mark, status.st_mtime_ns, is_quiet=is_quiet, is_document=True
            )
            begin = end
        if is_cut(rest) and not (_has_lines(rest) or has_requests_within(rest)):
            # Its writer may be in the middle of it.
            if is_quiet:
                seen = f"its last document {UNFINISHED}"
                yield Rejected(shown(path), seen, _excerpt(rest, begin))
            return
    if packed:
        end = size
    elif messages:
        begin, end = _whole_messages(path, begin, size)
        if end < size:
            tail = Rejected(shown(path), f"its last message {UNFINISHED}", f"from byte {end}")
    else:
        end, tail = _whole_lines(path, begin, size, is_quiet)
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
    with open_input(path) as file:
        file.seek(begin)
        return file.read(end - begin)


def _excerpt(rest: bytes, begin: int) -> str:
    return f"from byte {begin}: {rest[:EXCERPT].decode('utf-8', 'replace')}"


def _first_line(path: Path, begin: int) -> bytes:
    """The first line from here on that is not blank, without the commas between documents, as far
    as one is read."""
    with open_input(path) as file:
        file.seek(begin)
        while (line := file.readline(LONGEST_LINE)) and not line.strip(BETWEEN):
            pass
        return line.lstrip(BETWEEN)


def _whole_lines(path: Path, begin: int, size: int, is_quiet: bool) -> tuple[int, Rejected | None]:
    """Up to where whole lines and documents stand, and what behind them is not whole.

    What nobody goes on writing, and nothing behind it can make whole, is read as it is.
    """
    end = place = begin
    last = "line"
    for lines, is_open in lines_and_documents(_lines(path, begin, size), is_growing=True):
        place += sum(map(len, lines))
        if is_open:
            last = "document"
        elif len(lines) > 1 or lines[0].endswith(b"\n"):
            end = place
    rest = read_bytes(path, end, min(size, end + LONGEST_LINE + 1))
    if _is_whole(rest) or (is_quiet and _is_broken(rest)):
        return size, None
    if not rest.strip():
        return end, None
    return end, Rejected(shown(path), f"its last {last} {UNFINISHED}", _excerpt(rest, end))


def _lines(path: Path, begin: int, end: int) -> Iterator[bytes]:
    """The lines between two places; one that is too long in pieces."""
    with open_input(path) as file:
        file.seek(begin)
        while line := file.readline(min(LONGEST_LINE, end - file.tell())):
            yield line


def _has_lines(rest: bytes) -> bool:
    """Whether requests stand, each on a line, behind the first line of an object: it was cut."""
    return rest.lstrip(BETWEEN).startswith(b"{") and any(
        line.startswith(b"{") and REQUEST_KEY.search(line) and _is_whole(line.rstrip(BETWEEN))
        for line in rest.splitlines()[1:]
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


def _is_broken(rest: bytes) -> bool:
    """Whether nothing that follows can make it whole, or it is the end of something broken."""
    is_end = not rest.strip(BETWEEN + b"]}")
    return len(rest) <= LONGEST_LINE and (is_end or not is_cut(rest))


def _whole_messages(path: Path, begin: int, size: int) -> tuple[int, int]:
    """Where reading begins and ends in a file of one message, or of many behind their lengths."""
    with open_input(path) as file:
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


def split(part: FilePart, size: int) -> Iterator[FilePart]:
    """The part in pieces of whole lines and documents of about this many bytes, so that each can be
    one load."""
    begin = end = part.begin
    if part.is_lines and part.end - begin > size:
        for lines, _ in lines_and_documents(_lines(part.path, begin, part.end)):
            end += sum(map(len, lines))
            if end - begin >= size and end < part.end and lines[-1].endswith(b"\n"):
                yield replace(part, begin=begin, end=end, start_hash=_mark(part.path, end, ""))
                begin = end
    yield replace(part, begin=begin)
