"""Loading into the DuckDB file, without Prefect."""

import json
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Protocol

import duckdb

from flows._shared.inbox import Position
from flows._shared.postgres import EVERY_ROW, READ_ONLY, connected
from flows.agent_analytics import raw, sample, source
from flows.agent_analytics.records import (
    Commit,
    CopilotDay,
    Landed,
    LoadCounts,
    Rejected,
    StoreDamagedError,
    UnreadableTelemetryError,
)

CONSUMER = "agent_analytics"
OPTIONS = f"{READ_ONLY} {EVERY_ROW}"
Load = Callable[[duckdb.DuckDBPyConnection, Sequence[source.LineFile], Path], LoadCounts]


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
    try:
        return _load_and_record(connection, parts, scratch, batch_bytes, _load_whole)
    except (duckdb.Error, UnreadableTelemetryError):
        if len(parts) == 1:
            return _load_and_record(connection, parts, scratch, batch_bytes, _load_good_lines)
    half = len(parts) // 2
    halves = (parts[:half], parts[half:])
    counts = (_load_parts(connection, some, scratch, batch_bytes) for some in halves)
    return sum(counts, LoadCounts())


def _load_and_record(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[source.FilePart | Rejected],
    scratch: Path,
    batch_bytes: int,
    load: Load,
) -> LoadCounts:
    with _transaction(connection):
        counts = _load_files(connection, parts, scratch, batch_bytes, load)
        for part in parts:
            if isinstance(part, source.FilePart):
                raw.record_read(connection, part.path, part.end, part.start_hash, part.modified_ns)
    return counts


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
        raise UnreadableTelemetryError(
            f"Reading {name}",
            "a line is nested too deep, is not JSON, or is in another spelling",
            "It is read by lines",
        )
    counts = raw.load_lines(connection, [file.path for file in files], name)
    for file in files:
        if file.path.parent == scratch:
            file.path.unlink()
    return counts


def _load_good_lines(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], scratch: Path
) -> LoadCounts:
    """Line by line: slow, and only for a batch that does not load whole."""
    counts = LoadCounts()
    for file in files:
        good, rejected = source.good_lines(file, scratch)
        counts += LoadCounts(rejected=raw.reject(connection, rejected))
        if good.path.stat().st_size:
            counts += raw.load_lines(connection, [good.path], file.name, is_canonical=True)
        good.path.unlink()
        if file.path.parent == scratch:
            file.path.unlink()
    return counts


@raw.told_when_full
def load_deliveries(
    store: raw.Store, inbox_url: str, batch_bytes: int, progress: Progress | None = None
) -> LoadCounts:
    """Everything new in the inbox. A batch, and how far it reaches, is one transaction.

    The caller holds the lock.

    Raises:
        DatabaseUnreachableError: the inbox does not answer.
    """
    counts = LoadCounts()
    with store.connect() as connection, store.scratch() as scratch:
        raw.ensure_schema(connection)
        consumed = raw.consumed(connection, CONSUMER)
        after = Position.from_json(consumed) if consumed else None
        with connected(inbox_url, "the webhook inbox", autocommit=False, options=OPTIONS) as inbox:
            for batch in source.read_inbox(inbox, after, scratch, batch_bytes):
                counts += _load_batch(connection, batch)
                if progress:
                    progress.update("inbox", batch.position.number, None, counts.rows_new)
    return counts


def _load_batch(connection: duckdb.DuckDBPyConnection, batch: source.InboxBatch) -> LoadCounts:
    with _transaction(connection):
        counts = LoadCounts(rejected=raw.reject(connection, batch.rejected))
        if batch.lines.path.stat().st_size:
            lines = batch.lines
            counts += raw.load_lines(connection, [lines.path], lines.name, is_canonical=True)
        counts += raw.load_commits(connection, batch.commits)
        raw.record_consumed(connection, CONSUMER, batch.position.to_json())
    return counts


@raw.told_when_full
def load_commits(
    store: raw.Store,
    patterns: Sequence[str],
    repositories: Sequence[Path],
    marts_url: str | None = None,
) -> LoadCounts:
    """The hook's files, then repositories, then the GitHub scraper's marts.

    All of their commits are read, as only new ones are written.
    """
    files, unread = source.telemetry_files(patterns)
    with closing(_mart_commits(marts_url)) as of_marts, store.connect() as connection:
        raw.ensure_schema(connection)
        rows = chain(
            unread,
            chain.from_iterable(source.read_commit_rows(path) for path in files),
            chain.from_iterable(source.git_commits(path) for path in repositories),
            of_marts,
        )
        with _transaction(connection):
            return raw.load_commits(connection, rows)


def _mart_commits(url: str | None) -> Generator[Commit | Rejected]:
    if url is None:
        return
    with connected(
        url, "the GitHub scraper's marts", autocommit=False, options=OPTIONS
    ) as connection:
        yield from source.mart_commits(connection)


@raw.told_when_full
def load_copilot(store: raw.Store, rows: Iterable[CopilotDay | Rejected]) -> LoadCounts:
    with store.connect() as connection:
        raw.ensure_schema(connection)
        with _transaction(connection):
            return raw.load_copilot(connection, rows)


def copilot_files(patterns: Sequence[str]) -> Iterator[CopilotDay | Rejected]:
    files, unread = source.telemetry_files(patterns)
    return chain(unread, chain.from_iterable(source.read_copilot_rows(path) for path in files))


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
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


def loaded(
    store: raw.Store, load: Callable[[], LoadCounts]
) -> tuple[LoadCounts, tuple[Landed, ...]]:
    """What a load counted, and which tables it made longer."""
    with store.connect() as connection:
        raw.ensure_schema(connection)
        before = raw.last_ids(connection)
    counts = load()
    with store.connect() as connection:
        return counts, raw.landed(connection, before)


def write_sample(folder: Path, days: int, developers: int, seed: int) -> None:
    """The example input of this size and seed, written once."""
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, lines in (
        ("telemetry", sample.telemetry(days, developers, seed)),
        ("commits", _dumped(sample.commits(days, developers, seed))),
        ("copilot", _dumped(sample.copilot_rows(days, developers, seed))),
    ):
        (unfinished / name).mkdir(parents=True)
        with (unfinished / name / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    unfinished.rename(folder)


def _dumped(rows: Iterable[dict[str, object]]) -> Iterator[str]:
    return (json.dumps(row, separators=(",", ":")) for row in rows)


def damaged(seen: str) -> StoreDamagedError:
    return StoreDamagedError(
        "Working on the DuckDB file",
        f"a part of it cannot be read ({seen.splitlines()[0]})",
        "Put a good copy in its place, or move it away and load everything again.",
    )
