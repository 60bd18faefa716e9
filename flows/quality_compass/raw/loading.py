"""Brings the raw tables up to the files of a run, in one transaction."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from flows._shared.counted import counted
from flows._shared.raw_tables import RawTables, ensure_raw_tables
from flows.quality_compass.raw.told import (
    NAMED,
    LinesTold,
    counts_that_differ,
    empty_files,
    lines_held,
    record_unread,
    some,
    told_in_several_ways,
)
from flows.quality_compass.records import (
    BadLine,
    Disagreement,
    Kind,
    LineReader,
    LoadCounts,
    RawLine,
    RawTable,
    Run,
    RunFile,
    RunStart,
)
from flows.quality_compass.rules.indexes import differences
from flows.quality_compass.rules.json_lines import parse
from flows.quality_compass.rules.names import shown
from flows.quality_compass.rules.reading import run_time, sort_line, stem

SCHEMA_LOCK = 7_510_001
BATCH_BYTES = 8_000_000
BATCH_LINES = 20_000

KIND_TABLES = {
    Kind.NODE: (RawTable.NODE_RESULTS, RawTable.ENTITY_RESULTS),
    Kind.CONTRIBUTION: (RawTable.CONTRIBUTIONS,),
    Kind.CLASSIFICATION: (RawTable.CLASSIFICATIONS,),
    Kind.MODELING_RUN: (RawTable.MODELING_RUNS,),
    Kind.MODELING_EXPERIMENT: (RawTable.MODELING_EXPERIMENTS,),
}
IDENTITY = ("run_id", "file_path", "line_number", "row_key")
COLUMNS = {
    RawTable.ENTITY_RESULTS: (*IDENTITY, "canonical_node_id", "json_data"),
    RawTable.MODELING_RUNS: (
        *IDENTITY,
        "config_path",
        "status",
        "groups",
        "run_dir",
        "duration_seconds",
    ),
}

RECORD_FILE = """
insert into public.raw_files (
    run_id, file_path, kind, content_hash, bytes, rows, quarantined, changed_at, loaded_at
)
values (
    %(run_id)s, %(file_path)s, %(kind)s, %(content_hash)s, %(bytes)s, %(rows)s, %(quarantined)s,
    now(), now()
)
on conflict (run_id, file_path) do update
set
    kind = excluded.kind,
    content_hash = excluded.content_hash,
    bytes = excluded.bytes,
    rows = excluded.rows,
    quarantined = excluded.quarantined,
    changed_at = now(),
    loaded_at = now()
"""

RECORD_RUN = """
insert into public.raw_runs (
    run_id, url, fingerprint, files, started_at, time_zone, first_loaded_at, changed_at, loaded_at
)
select
    cast(%(run_id)s as varchar),
    %(url)s,
    md5(
        coalesce(string_agg(file_path || ' ' || content_hash, ',' order by file_path), '')
        || %(stated)s
    ),
    count(*),
    %(started_at)s,
    %(time_zone)s,
    now(),
    now(),
    now()
from public.raw_files
where run_id = cast(%(run_id)s as varchar)
on conflict (run_id) do update
set
    url = excluded.url,
    fingerprint = excluded.fingerprint,
    files = excluded.files,
    started_at = excluded.started_at,
    time_zone = excluded.time_zone,
    changed_at = case
        when raw_runs.fingerprint = excluded.fingerprint then raw_runs.changed_at else now()
    end,
    loaded_at = now()
where
    (raw_runs.url, raw_runs.fingerprint, raw_runs.files, raw_runs.started_at, raw_runs.time_zone)
    is distinct from
    (excluded.url, excluded.fingerprint, excluded.files, excluded.started_at, excluded.time_zone)
"""
CHANGED_AT = "select changed_at from public.raw_runs where run_id = %s"


def ensure_schema(connection: psycopg.Connection) -> None:
    """Create what is missing. The connection is in autocommit mode.

    Raises:
        RawTablesLockedError: another session holds one of the tables; nothing was changed.
    """
    statements = files("flows.quality_compass").joinpath("schema.sql").read_text("utf-8")
    ensure_raw_tables(
        connection, RawTables("Quality Compass's raw tables", "public", SCHEMA_LOCK, statements)
    )


def known_runs(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute("select run_id from public.raw_runs order by 1")]


def load_run(
    connection: psycopg.Connection,
    run: Run,
    open_file: Callable[[RunFile], LineReader],
    progress: Callable[[int, int], None] = lambda files, rows: None,
    start: RunStart | None = None,
    indexes: Mapping[str, bytes] | None = None,
) -> LoadCounts:
    """Bring one run's rows up to its files. Files that are as they were are only looked at.

    A file that is no longer in the folder keeps its rows: the history of a run does not shrink. One
    that is there in another way of writing it (packed, as a document) gives way to that.

    Args:
        open_file: the reader of a file of this run.
        progress: told the files done and the rows written so far.
        start: when the run was started. None: as its id says, in UTC.
        indexes: what the run's indexes say, by their path: what was read is held against it.

    Raises:
        PlatformError: named after the situation; nothing of this load was written.
    """
    changed = quarantined = size = 0
    told_lines = LinesTold()
    rows: Counter[str] = Counter()
    with connection.transaction():
        connection.execute("lock table public.load_turns in exclusive mode")
        known: dict[str, str] = dict(
            connection.execute(
                "select file_path, content_hash from public.raw_files where run_id = %s",
                (run.run_id,),
            ).fetchall()
        )
        spelled = {stem(file.path): file.path for file in run.files}
        for path in known:
            if spelled.get(stem(path), path) != path:
                _forget_file(connection, run.run_id, path)
        for done, file in enumerate(run.files, start=1):
            reader = open_file(file)
            content_hash = reader.content_hash()
            size += reader.bytes_read
            if known.get(file.path) != content_hash:
                so_far = (done, rows.total())
                written, refused = _load_file(
                    connection, run.run_id, file, reader, content_hash, progress, so_far, told_lines
                )
                rows += written
                changed, quarantined = changed + 1, quarantined + refused
            progress(done, rows.total())
        start = start or RunStart(run_time(run.run_id), is_stated=False)
        is_as_named = start.at == run_time(run.run_id)
        elsewhere = "" if start.zone == "UTC" else f" {start.zone}"
        connection.execute(
            RECORD_RUN,
            {
                "run_id": run.run_id,
                "url": run.url,
                "started_at": start.at,
                "time_zone": start.zone,
                "stated": ("" if is_as_named else f" {start.at.isoformat()}") + elsewhere,
            },
        )
        recorded = connection.execute(CHANGED_AT, (run.run_id,)).fetchone()
        assert recorded is not None
        record_unread(connection, run)
    notes = [start.note] if start.note else []
    if run.unread:
        unread = counted(len(run.unread), "file was", "files were")
        notes.append(f"{unread} not read: {some(run.unread)}")
    notes += empty_files(connection, run.run_id)
    notes += counts_that_differ(connection, run.run_id)
    notes += told_lines.notes()
    if changed:
        notes += told_in_several_ways(connection, run.run_id)
    told = list(differences(run.run_id, indexes or {}, lines_held(connection, run.run_id)))
    notes += told[:NAMED]
    if len(told) > NAMED:
        more = counted(len(told) - NAMED, "more file is", "more files are")
        notes.append(f"{more} not as the indexes say")
    return LoadCounts(
        run.run_id,
        len(run.files),
        changed,
        rows,
        quarantined,
        size,
        recorded[0],
        start.at,
        tuple(shown(note) for note in notes),
    )


def record_disagreements(
    connection: psycopg.Connection, run_id: str, found: Iterable[Disagreement], kept: int
) -> int:
    """Replace a run's disagreements; returns how many there are, of which ``kept`` are written."""
    total = 0
    with connection.transaction():
        connection.execute("delete from public.raw_disagreements where run_id = %s", (run_id,))
        with connection.cursor().copy(
            "copy public.raw_disagreements "
            "(run_id, file_path, line_number, subject, field, claimed, recomputed) from stdin"
        ) as copy:
            for each in found:
                total += 1
                if total <= kept:
                    copy.write_row((run_id, *each))
    return total


def _forget_file(connection: psycopg.Connection, run_id: str, path: str) -> None:
    for table in (*(each.value for each in RawTable), "raw_quarantine", "raw_files"):
        connection.execute(
            sql.SQL("delete from public.{} where run_id = %s and file_path = %s").format(
                sql.Identifier(table)
            ),
            (run_id, path),
        )


def _load_file(
    connection: psycopg.Connection,
    run_id: str,
    file: RunFile,
    reader: LineReader,
    content_hash: str,
    progress: Callable[[int, int], None],
    so_far: tuple[int, int],
    told: LinesTold,
) -> tuple[Counter[str], int]:
    """Replace the rows of one file; returns rows written by table and lines quarantined."""
    for table in (*KIND_TABLES[file.kind], None):
        connection.execute(
            sql.SQL("delete from public.{} where run_id = %s and file_path = %s").format(
                sql.Identifier(table.value if table else "raw_quarantine")
            ),
            (run_id, file.path),
        )
    written: Counter[str] = Counter()
    refused = 0
    for good, bad in _batches(_sorted_lines(run_id, file, reader, content_hash)):
        for table in {line.table for line in good}:
            _copy_lines(connection, run_id, file.path, table, good)
        _copy_quarantine(connection, run_id, file.path, bad)
        told.take(file.path, good)
        written.update(line.table.value for line in good)
        refused += len(bad)
        progress(so_far[0] - 1, so_far[1] + written.total())
    connection.execute(
        RECORD_FILE,
        {
            "run_id": run_id,
            "file_path": file.path,
            "kind": file.kind.name.lower(),
            "content_hash": content_hash,
            "bytes": reader.bytes_read,
            "rows": written.total(),
            "quarantined": refused,
        },
    )
    return written, refused


def _sorted_lines(
    run_id: str, file: RunFile, reader: LineReader, content_hash: str
) -> Iterator[RawLine | BadLine]:
    node_id, number = None, 0
    for number, line in reader.lines(content_hash):
        if reader.is_too_long(line):
            yield BadLine(
                number, "longer than max_line_bytes", line[:2000].decode(errors="replace")
            )
            continue
        sorted_line = sort_line(file.kind, file.path, number, line, run_id=run_id, node_id=node_id)
        if isinstance(sorted_line, RawLine) and sorted_line.table is RawTable.NODE_RESULTS:
            node_id = sorted_line.canonical_node_id
        yield sorted_line
    if reader.broken_off:
        yield BadLine(number + 1, reader.broken_off, "")
    elif number == 0 and file.kind is Kind.NODE:
        yield BadLine(1, "the file is empty: a node begins with its metadata", "")


def _batches(
    lines: Iterable[RawLine | BadLine],
) -> Iterator[tuple[list[RawLine], list[BadLine]]]:
    """Bounded by bytes and by lines, whichever comes first."""
    good: list[RawLine] = []
    bad: list[BadLine] = []
    size = 0
    for line in lines:
        if isinstance(line, RawLine):
            good.append(line)
            size += len(line.json_data)
        else:
            bad.append(line)
            size += len(line.text)
        if size >= BATCH_BYTES or len(good) + len(bad) >= BATCH_LINES:
            yield good, bad
            good, bad, size = [], [], 0
    if good or bad:
        yield good, bad


def _copy_lines(
    connection: psycopg.Connection,
    run_id: str,
    file_path: str,
    table: RawTable,
    lines: Sequence[RawLine],
) -> None:
    columns = COLUMNS.get(table, (*IDENTITY, "json_data"))
    statement = sql.SQL("copy public.{} ({}) from stdin").format(
        sql.Identifier(table.value), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(statement) as copy:
        for line in lines:
            if line.table is table:
                copy.write_row(
                    (run_id, file_path, line.line_number, line.row_key, *_content(table, line))
                )


def _content(table: RawTable, line: RawLine) -> tuple[Any, ...]:
    if table is RawTable.ENTITY_RESULTS:
        return line.canonical_node_id, line.json_data
    if table is RawTable.MODELING_RUNS:
        parsed = parse(line.json_data.encode())
        groups = parsed.get("groups")
        return (
            parsed.get("config_path"),
            parsed.get("status"),
            None if groups is None else Jsonb(groups),
            parsed.get("run_dir"),
            parsed.get("duration_seconds"),
        )
    return (line.json_data,)


def _copy_quarantine(
    connection: psycopg.Connection, run_id: str, file_path: str, lines: Sequence[BadLine]
) -> None:
    if not lines:
        return
    with connection.cursor().copy(
        "copy public.raw_quarantine (run_id, file_path, line_number, reason, line_text) from stdin"
    ) as copy:
        for line in lines:
            text = line.text.replace("\0", "\N{REPLACEMENT CHARACTER}")
            copy.write_row((run_id, file_path, line.line_number, line.reason, text))
