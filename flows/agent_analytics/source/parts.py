"""Telemetry files, and which part of each was not loaded yet."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

LINES = (".json", ".jsonl", ".ndjson")
PROTOBUF = (".pb", ".binpb")
START_BYTES = 4096
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class FilePart:
    """The part of a telemetry file that was not loaded yet.

    Args:
        end: bytes of the file that are read once this part is; up to the last whole line.
        start_hash: of the file's first bytes, ``hashed`` of them, which tell it from another one
            of the same name.
    """

    path: Path
    begin: int
    end: int
    start_hash: str
    modified_ns: int


def telemetry_files(patterns: Iterable[str]) -> list[Path]:
    """The telemetry files that the patterns name (a folder names all in it), oldest first."""
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern).absolute()
        if path.is_dir():
            found.update(child for child in path.rglob("*") if _is_telemetry(child))
        else:
            root = Path(path.anchor)
            found.update(
                child for child in root.glob(str(path.relative_to(root))) if child.is_file()
            )
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, str(path)))


def _is_telemetry(path: Path) -> bool:
    return path.is_file() and path.name.removesuffix(".gz").endswith(LINES + PROTOBUF)


def unread_part(path: Path, read_before: tuple[int, str, int] | None) -> FilePart | None:
    """What of a file is new since (bytes read, hash of its start, time of change); None: nothing.

    A file that grew is read from where reading ended; one that was replaced is read whole. The
    last line of a file that is still written counts once its newline is there.
    """
    status = path.stat()
    if read_before and (read_before[0], read_before[2]) == (status.st_size, status.st_mtime_ns):
        return None
    begin = 0
    start = _start_hash(path, status.st_size)
    if path.name.endswith(LINES):
        if read_before and read_before[0] <= status.st_size:
            length = int(read_before[1].partition(":")[0])
            if _start_hash(path, length) == read_before[1]:
                begin = read_before[0]
        end = _after_last_newline(path, begin, status.st_size)
    else:
        end = status.st_size
    if begin == end:
        return None
    return FilePart(path, begin, end, start, status.st_mtime_ns)


def _start_hash(path: Path, size: int) -> str:
    length = min(size, START_BYTES)
    with path.open("rb") as file:
        return f"{length}:{hashlib.sha256(file.read(length)).hexdigest()}"


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


def split(part: FilePart, size: int) -> Iterator[FilePart]:
    """The part in pieces of whole lines of about this many bytes, so that each can be one load."""
    if not part.path.name.endswith(LINES):
        yield part
        return
    begin = part.begin
    with part.path.open("rb") as file:
        while part.end - begin > size:
            file.seek(begin + size)
            file.readline()
            end = min(file.tell(), part.end)
            yield replace(part, begin=begin, end=end)
            begin = end
    if begin < part.end:
        yield replace(part, begin=begin)
