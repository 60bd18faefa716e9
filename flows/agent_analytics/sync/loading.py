"""Loading into the DuckDB file, without Prefect."""

import json
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

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
)
from flows.agent_analytics.sync.files import (
    LoadFile,
    Progress,
    load_file,
    load_halves,
    transaction,
)

CONSUMER = "agent_analytics"
OPTIONS = f"{READ_ONLY} {EVERY_ROW}"


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
    try:
        with transaction(connection):
            return _load_beside(connection, batch) + _load_all(connection, batch.files, load_file)
    except duckdb.OutOfMemoryException as error:
        if raw.is_full(error):
            raise
    counts = _load_all(connection, batch.files, load_halves)
    with transaction(connection):
        return counts + _load_beside(connection, batch)


def _load_all(
    connection: duckdb.DuckDBPyConnection, files: Sequence[source.LineFile], load: LoadFile
) -> LoadCounts:
    return sum((load(connection, each) for each in files), LoadCounts())


def _load_beside(connection: duckdb.DuckDBPyConnection, batch: source.InboxBatch) -> LoadCounts:
    """What of a batch is no telemetry, and how far it reaches."""
    counts = LoadCounts(rejected=raw.reject(connection, batch.rejected))
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
        with transaction(connection):
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
        with transaction(connection):
            return raw.load_copilot(connection, rows)


def copilot_files(patterns: Sequence[str]) -> Iterator[CopilotDay | Rejected]:
    files, unread = source.telemetry_files(patterns)
    return chain(unread, chain.from_iterable(source.read_copilot_rows(path) for path in files))


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
