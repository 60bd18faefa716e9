"""Loading telemetry files, and what else lines of telemetry are loaded by."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import duckdb

from flows.agent_analytics import raw, source
from flows.agent_analytics.records import (
    LoadCounts,
    MixedLinesError,
    Rejected,
    StoreDamagedError,
    UnreadableTelemetryError,
)

Load = Callable[[duckdb.DuckDBPyConnection, Sequence[source.LineFile], Path], LoadCounts]
LoadFile = Callable[[duckdb.DuckDBPyConnection, source.LineFile], LoadCounts]
# What takes less memory than any request.
LINE_OF_NOTHING = '{"resourceLogs":[]}'


class Progress(Protocol):
    """Where loading says how far it is."""

    def update(
        self, phase: str, done: int, total: int | None = None, rows: int | None = None
    ) -> None: ...


@raw.told_when_full
def load_telemetry(
    store: raw.Store, patterns: Sequence[str], batch_bytes: int, progress: Progress | None = None
) -> LoadCounts:
    """Everything new in the telemetry files; each batch of files is one transaction.

    The caller holds the lock. A file with lines that are not OTLP loads without them.
    """
    files, unread = source.telemetry_files(patterns)
    with store.connect() as connection, store.scratch() as scratch:
        raw.ensure_schema(connection)
        counts = LoadCounts(rejected=raw.reject(connection, unread))
        done = 0
        for parts in _batches(connection, files, batch_bytes):
            counts += _load_parts(connection, parts, scratch, batch_bytes)
            done += len(parts)
            if progress:
                progress.update("telemetry", done, None, counts.rows_new)
    if progress:
        progress.update("telemetry", done, done, counts.rows_new)
    return counts


def _batches(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Path], batch_bytes: int
) -> Iterator[list[source.FilePart | Rejected]]:
    """Small files together, large ones in pieces: what is loaded at a time has a bound."""
    batch: list[source.FilePart | Rejected] = []
    size = 0
    for path in files:
        before = raw.read_before(connection, path)
        for piece in source.unread_pieces(path, before, time.time(), batch_bytes):
            if isinstance(piece, Rejected):
                batch.append(piece)
                continue
            if batch and size + piece.end - piece.begin > batch_bytes:
                yield batch
                batch, size = [], 0
            batch.append(piece)
            size += piece.end - piece.begin
    if batch:
        yield batch


def _load_parts(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart | Rejected],
    scratch: Path,
    batch_bytes: int,
) -> LoadCounts:
    """One transaction; halves where it fails, down to the part with lines that are not OTLP. Line
    by line a part takes ten times as long, and hundreds of them more memory than there is."""
    is_mixed = False
    try:
        return _load_and_record(connection, parts, scratch, batch_bytes, _load_whole)
    except (duckdb.Error, UnreadableTelemetryError) as error:
        is_mixed = isinstance(error, MixedLinesError)
    if len(parts) == 1:
        return _load_part(connection, parts, scratch, batch_bytes, is_mixed)
    half = len(parts) // 2
    halves = (parts[:half], parts[half:])
    counts = (_load_parts(connection, some, scratch, batch_bytes) for some in halves)
    return sum(counts, LoadCounts())


def _load_part(
    connection: duckdb.DuckDBPyConnection,
    part: Sequence[source.FilePart | Rejected],
    scratch: Path,
    batch_bytes: int,
    is_mixed: bool,
) -> LoadCounts:
    """One that does not load whole: ordinary lines as they are, or all in their one spelling.

    Where that takes more memory than there is, it is loaded in as many transactions as it needs:
    what of it is loaded when a run is killed is known when it is read again.
    """
    if is_mixed:
        with suppress(duckdb.Error, UnreadableTelemetryError):
            return _load_and_record(connection, part, scratch, batch_bytes, _load_sifted)
    try:
        return _load_and_record(connection, part, scratch, batch_bytes, _load_good_lines)
    except duckdb.OutOfMemoryException as error:
        if raw.is_full(error):
            raise
    counts = _load_files(connection, part, scratch, batch_bytes, _load_apart)
    with transaction(connection):
        _record(connection, part)
    return counts


def _load_and_record(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart | Rejected],
    scratch: Path,
    batch_bytes: int,
    load: Load,
) -> LoadCounts:
    with transaction(connection):
        counts = _load_files(connection, parts, scratch, batch_bytes, load)
        _record(connection, parts)
    return counts


def _record(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[source.FilePart | Rejected]
) -> None:
    for part in parts:
        if isinstance(part, source.FilePart):
            raw.record_read(connection, part.path, part.end, part.start_hash, part.modified_ns)


def _load_files(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart | Rejected],
    scratch: Path,
    batch_bytes: int,
    load: Load,
) -> LoadCounts:
    counts = LoadCounts()
    files: list[source.LineFile] = []
    size = 0
    for part in parts:
        found_in_part = (
            [part] if isinstance(part, Rejected) else source.line_files(part, scratch, batch_bytes)
        )
        for found in found_in_part:
            if isinstance(found, Rejected):
                counts += LoadCounts(rejected=raw.reject(connection, [found]))
                continue
            more = found.path.stat().st_size
            if files and size + more > batch_bytes:
                counts += load(connection, files, scratch)
                files, size = [], 0
            files.append(found)
            size += more
    if files:
        counts += load(connection, files, scratch)
    return counts


def _load_whole(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    name = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    if not all(source.is_ordinary(file.path) for file in files):
        raise MixedLinesError(
            f"Reading {name}",
            "a line is long, nested too deep, not JSON, or in another spelling",
            "It is read by lines",
        )
    counts = raw.load_lines(connection, [file.path for file in files], name)
    for file in files:
        if file.path.parent == scratch:
            file.path.unlink()
    return counts


def _load_sifted(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    """Ordinary lines as they are, the others in their one spelling."""
    return _load_sorted(connection, files, scratch, source.sifted_lines, load_file)


def _load_good_lines(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    """Line by line: slow, and only for a batch that does not load whole."""
    return _load_sorted(connection, files, scratch, source.good_lines, load_file)


def _load_apart(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    return _load_sorted(connection, files, scratch, source.good_lines, load_halves)


def _load_sorted(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[source.LineFile],
    scratch: Path,
    sort: Callable[[source.LineFile, Path], tuple[list[source.LineFile], list[Rejected]]],
    load: LoadFile,
) -> LoadCounts:
    counts = LoadCounts()
    for file in files:
        good, rejected = sort(file, scratch)
        counts += LoadCounts(rejected=raw.reject(connection, rejected))
        for each in good:
            counts += load(connection, each)
            each.path.unlink()
        if file.path.parent == scratch:
            file.path.unlink()
    return counts


def load_file(connection: duckdb.DuckDBPyConnection, file: source.LineFile) -> LoadCounts:
    return raw.load_lines(
        connection, [file.path], file.name, longest=file.longest, is_canonical=file.is_canonical
    )


def load_halves(connection: duckdb.DuckDBPyConnection, file: source.LineFile) -> LoadCounts:
    """Each half that fits into memory in a transaction, a line that does not put aside.

    Raises:
        duckdb.OutOfMemoryException: there is too little memory for any line.
    """
    try:
        with transaction(connection):
            return load_file(connection, file)
    except duckdb.OutOfMemoryException as error:
        if raw.is_full(error):
            raise
        seen = str(error).partition("\n")[0]
    counts = LoadCounts()
    for half in (halves := file.halves()):
        counts += load_halves(connection, half)
        half.path.unlink()
    if halves:
        return counts
    line = file.path.read_bytes()
    file.path.write_text(f"{LINE_OF_NOTHING}\n")
    with transaction(connection):
        load_file(connection, replace(file, longest=len(LINE_OF_NOTHING) + 1))
    excerpt = line[: source.EXCERPT].decode("utf-8", "replace")
    told = Rejected(file.name, f"a request for which memory does not suffice: {seen}", excerpt)
    return LoadCounts(rejected=raw.reject(connection, [told]))


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing of one load.

    Raises:
        StoreDamagedError: the file cannot be read or written any more.
    """
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException as error:
        with suppress(duckdb.Error):  # A connection to a damaged file knows no transaction.
            connection.rollback()
        if isinstance(error, duckdb.Error) and raw.is_damage(str(error), type(error)):
            raise damaged(str(error)) from error
        raise


def damaged(seen: str) -> StoreDamagedError:
    return StoreDamagedError(
        "Working on the DuckDB file",
        f"a part of it cannot be read ({seen.splitlines()[0]})",
        "Put a good copy in its place, or move it away and load everything again.",
    )
