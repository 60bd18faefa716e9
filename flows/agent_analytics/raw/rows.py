"""Rows of the raw tables that are not telemetry, and the record of what was read."""

# ruff: noqa: S608  only constants of this file enter the SQL
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from flows.agent_analytics.raw.otlp import EXCERPT, NOW
from flows.agent_analytics.raw.purged import read_purged, shown_rows
from flows.agent_analytics.records import (
    Commit,
    CopilotDay,
    Landed,
    LoadCounts,
    Rejected,
    StoreOutdatedError,
)
from flows.agent_analytics.rules import shown

SCHEMA = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
VIEWS = (Path(__file__).parent / "views.sql").read_text(encoding="utf-8")
# Columns that files of earlier versions do not have yet.
ADDED = (
    ("otel_points", "observations", "bigint"),
    ("copilot_metrics", "ai_credits", "double"),
    ("copilot_metrics", "cli_requests", "bigint"),
    ("copilot_metrics", "cli_prompt_tokens", "bigint"),
    ("copilot_metrics", "cli_output_tokens", "bigint"),
    ("copilot_metrics", "app_requests", "bigint"),
    ("copilot_metrics", "app_prompt_tokens", "bigint"),
    ("copilot_metrics", "app_output_tokens", "bigint"),
    ("purged_names", "beginning", "integer"),
)
ROWS_AT_A_TIME = 10_000
# Git counts from here; Copilot is younger than the other.
FIRST_COMMIT, FIRST_REPORT = datetime(1970, 1, 1), date(2020, 1, 1)
EARLY = "a time before there were such rows (the clock of the sender)"
# Two of them still fit the marts' columns.
LARGEST_CHANGE = 1_000_000_000
TOO_LARGE = "more files or lines than any commit changes"
FAR = "a time more than a day after it was received (the clock of the sender)"

_COMMIT = json.dumps(
    {
        "commit_hash": "VARCHAR",
        "message": "VARCHAR",
        "author_name": "VARCHAR",
        "author_email": "VARCHAR",
        "committed_at": "TIMESTAMP",
        "files_changed": "INTEGER",
        "lines_added": "INTEGER",
        "lines_deleted": "INTEGER",
        "is_agent_assisted": "BOOLEAN",
        "agent_session_id": "VARCHAR",
        "agent_type": "VARCHAR",
        "developer_id": "VARCHAR",
        "project_id": "VARCHAR",
        "co_authors": "VARCHAR",
        "place": "BIGINT",
    }
)
# What one who tells of a commit may know and another does not.
_ADDED_TO_COMMITS = (
    "files_changed", "lines_added", "lines_deleted", "agent_session_id", "agent_type",
    "developer_id", "project_id", "co_authors",
)  # fmt: skip
# In the order of the shape below.
_TOLD_OF_A_DAY = (
    "total_suggestions", "total_acceptances", "total_lines_suggested", "total_lines_accepted",
    "total_active_users", "language_breakdown", "ai_credits",
    "cli_requests", "cli_prompt_tokens", "cli_output_tokens",
    "app_requests", "app_prompt_tokens", "app_output_tokens",
)  # fmt: skip
_COPILOT = json.dumps(
    {
        "day": "DATE",
        "developer_id": "VARCHAR",
        "suggestions": "BIGINT",
        "acceptances": "BIGINT",
        "lines_suggested": "BIGINT",
        "lines_accepted": "BIGINT",
        "active_users": "BIGINT",
        "languages": "JSON",
        "ai_credits": "DOUBLE",
        "cli_requests": "BIGINT",
        "cli_prompt_tokens": "BIGINT",
        "cli_output_tokens": "BIGINT",
        "app_requests": "BIGINT",
        "app_prompt_tokens": "BIGINT",
        "app_output_tokens": "BIGINT",
        "place": "BIGINT",
    }
)

METRICS_IN_ONE_TABLE = """
select 1 from information_schema.tables
where table_schema = 'raw' and table_name = 'otel_metrics' and table_type = 'BASE TABLE'
"""


def ensure_schema(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the raw tables where they are missing, and columns where tables lack them.

    Raises:
        StoreOutdatedError: metrics are in one table, as in the first version; nothing was changed.
    """
    if connection.execute(METRICS_IN_ONE_TABLE).fetchone():
        raise StoreOutdatedError(
            "Opening the raw tables",
            "raw.otel_metrics is a table: its points were told apart by other keys",
            "Move the file away and load what it was made from anew",
        )
    connection.execute(SCHEMA)
    there = set(
        connection.execute(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'raw'"
        ).fetchall()
    )
    added = [each for each in ADDED if each[:2] not in there]
    for table, column, kind in added:
        connection.execute(f"alter table raw.{table} add column {column} {kind}")
    if added:
        # DuckDB cannot replay such a change of a table with a sequence: it may not stay in the log.
        connection.execute("force checkpoint")
    connection.execute(VIEWS)


def load_commits(
    connection: duckdb.DuckDBPyConnection, commits: Iterable[Commit | Rejected]
) -> LoadCounts:
    """Commits by hash. A commit that comes again adds what was not known of it; nothing is lost:
    the hook knows the session, the repository knows the lines. Of what both know the first counts.
    """
    known = ", ".join(
        f"arg_min({name}, place) filter ({name} is not null)" for name in _ADDED_TO_COMMITS
    )
    return _load(
        connection,
        _plausible(commits),
        _COMMIT,
        f"""
        insert into raw.git_commits (
            commit_hash, commit_message, author_name, author_email, commit_timestamp,
            agent_assisted, {", ".join(_ADDED_TO_COMMITS)}, created_at
        )
        select
            commit_hash,
            coalesce(arg_min(message, place) filter (message <> ''), ''),
            arg_min(author_name, place),
            coalesce(arg_min(author_email, place) filter (author_email <> ''), ''),
            arg_min(committed_at, place),
            bool_or(is_agent_assisted), {known}, {NOW}
        from incoming
        group by commit_hash
        on conflict (commit_hash) do update set
            commit_message = coalesce(nullif(commit_message, ''), excluded.commit_message),
            author_email = coalesce(nullif(author_email, ''), excluded.author_email),
            files_changed = coalesce(files_changed, excluded.files_changed),
            lines_added = coalesce(lines_added, excluded.lines_added),
            lines_deleted = coalesce(lines_deleted, excluded.lines_deleted),
            agent_assisted = agent_assisted or excluded.agent_assisted,
            agent_session_id = coalesce(agent_session_id, excluded.agent_session_id),
            agent_type = coalesce(agent_type, excluded.agent_type),
            developer_id = coalesce(developer_id, excluded.developer_id),
            project_id = coalesce(project_id, excluded.project_id),
            co_authors = coalesce(co_authors, excluded.co_authors)
        """,
        "select count(*) from raw.git_commits",
    )


def load_copilot(
    connection: duckdb.DuckDBPyConnection, days: Iterable[CopilotDay | Rejected]
) -> LoadCounts:
    """Copilot by day and developer; a day that comes again with other figures replaces
    the one before it. That there was something to read is kept in ``raw.looks``."""
    counts = _load(
        connection,
        _plausible(days),
        _COPILOT,
        f"""
        insert into raw.copilot_metrics (
            "date", developer_id, {", ".join(_TOLD_OF_A_DAY)}, created_at
        )
        select * exclude (place), {NOW}
        from incoming
        qualify row_number() over (partition by day, developer_id order by place desc) = 1
        on conflict ("date", developer_id) do update set
            {", ".join(f"{name} = excluded.{name}" for name in _TOLD_OF_A_DAY)},
            created_at = excluded.created_at
        where
            {" or ".join(f"{name} is distinct from excluded.{name}" for name in _TOLD_OF_A_DAY)}
        """,
        "select count(*) from raw.copilot_metrics",
    )
    if counts.rows_new or counts.rows_repeated:
        connection.execute(f"insert or replace into raw.looks values ('copilot_metrics', {NOW})")
    return counts


def _plausible(
    rows: Iterable[Commit | Rejected] | Iterable[CopilotDay | Rejected],
) -> Iterator[Commit | CopilotDay | Rejected]:
    """A day to come would become the last known day of the marts, one long ago their first."""
    latest = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    for row in rows:
        match row:
            case Commit() if not FIRST_COMMIT <= row.committed_at <= latest:
                excerpt = f"{row.commit_hash} of {row.author_email} at {row.committed_at}"
                yield Rejected(
                    "commits", FAR if row.committed_at > latest else EARLY, excerpt[:EXCERPT]
                )
            case Commit() if _is_too_large(row):
                yield Rejected("commits", TOO_LARGE, f"{row.commit_hash} of {row.author_email}")
            case CopilotDay() if not FIRST_REPORT <= row.day <= latest.date():
                excerpt = f"{row.developer_id} on {row.day}"
                yield Rejected(
                    "copilot", FAR if row.day > latest.date() else EARLY, excerpt[:EXCERPT]
                )
            case _:
                yield row


def _is_too_large(commit: Commit) -> bool:
    counts = (commit.files_changed, commit.lines_added, commit.lines_deleted)
    return any(count is not None and count > LARGEST_CHANGE for count in counts)


def _load(
    connection: duckdb.DuckDBPyConnection,
    rows: Iterable[Commit | CopilotDay | Rejected],
    shape: str,
    insert: str,
    count: str,
) -> LoadCounts:
    counts = LoadCounts()
    if purged := read_purged(connection):
        rows = shown_rows(purged, rows)
    before = connection.execute(count).fetchall()[0][0]
    for batch in _batches(rows):
        kept = [row for row in batch if not isinstance(row, Rejected)]
        good = [{**asdict(row), "place": place} for place, row in enumerate(kept)]
        bad = [row for row in batch if isinstance(row, Rejected)]
        connection.execute(
            "create or replace temp table incoming as "
            "select unnest(from_json(?, ?), max_depth := 2)",
            [json.dumps(good, default=str), f"[{shape}]"],
        )
        connection.execute(insert)
        connection.execute("drop table incoming")
        counts += LoadCounts(rows_repeated=len(good), rejected=reject(connection, bad))
    new = int(connection.execute(count).fetchall()[0][0]) - int(before)
    return counts + LoadCounts(rows_new=new, rows_repeated=-new)


def _batches(
    rows: Iterable[Commit | CopilotDay | Rejected],
) -> Iterator[list[Commit | CopilotDay | Rejected]]:
    remaining: Iterator[Commit | CopilotDay | Rejected] = iter(rows)
    while batch := list(islice(remaining, ROWS_AT_A_TIME)):
        yield batch


def reject(connection: duckdb.DuckDBPyConnection, pieces: Iterable[Rejected]) -> int:
    """Put pieces of input aside; one that was put aside before is kept once. How many are new."""
    new = 0
    purged = read_purged(connection)
    remaining = iter(pieces)
    # One statement for each would hold memory for each until the transaction ends.
    while batch := list(islice(remaining, ROWS_AT_A_TIME)):
        rows = {(each.source, each.reason, purged.piece(each.excerpt)) for each in batch}
        written = connection.execute(
            f"insert or ignore into raw.rejected select *, {NOW} from "
            "(select unnest(?::varchar[]), unnest(?::varchar[]), unnest(?::varchar[]))",
            [list(column) for column in zip(*sorted(rows), strict=True)],
        ).fetchall()
        new += int(written[0][0])
    return new


def read_before(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[int, str, int] | None:
    """Bytes read, hash of the start and time of change of a file at the last reading."""
    row = connection.execute(
        "select bytes_read, start_hash, modified_ns from raw.ingested_files where path = ?",
        [shown(path)],
    ).fetchone()
    return (int(row[0]), str(row[1]), int(row[2])) if row else None


def record_read(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    bytes_read: int,
    start_hash: str,
    modified_ns: int,
) -> None:
    connection.execute(
        f"insert or replace into raw.ingested_files values (?, ?, ?, ?, {NOW})",
        [shown(path), bytes_read, start_hash, modified_ns],
    )


def consumed(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, Any] | None:
    """The position in the inbox up to which everything is loaded, as its JSON."""
    row = connection.execute(
        "select position from raw.inbox_position where source = ?", [source]
    ).fetchone()
    return dict(json.loads(row[0])) if row else None


def record_consumed(
    connection: duckdb.DuckDBPyConnection, source: str, position: dict[str, Any]
) -> None:
    """In the transaction of the rows that came from there: each delivery counts exactly once."""
    connection.execute(
        f"insert or replace into raw.inbox_position values (?, ?, {NOW})",
        [source, json.dumps(position)],
    )


LANDING: Mapping[str, tuple[str, str]] = {
    "otel_metrics": ("raw.otel_points", '"timestamp"'),
    "otel_logs": ("raw.otel_logs", '"timestamp"'),
    "git_commits": ("raw.git_commits", "commit_timestamp"),
    "copilot_metrics": ("raw.copilot_metrics", '"date"'),
}


def last_ids(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The newest row of each table that events tell of; ids only grow."""
    return {
        table: connection.execute(f"select coalesce(max(id), 0) from {rows}").fetchall()[0][0]
        for table, (rows, _) in LANDING.items()
    }


def landed(connection: duckdb.DuckDBPyConnection, before: Mapping[str, int]) -> tuple[Landed, ...]:
    """The tables that have rows newer than ``before``."""
    found = []
    for table, (rows, moment) in LANDING.items():
        count, last, newest = connection.execute(
            f"select count(*), max(id), max(cast({moment} as timestamp)) from {rows} where id > ?",
            [before[table]],
        ).fetchall()[0]
        if count:
            found.append(Landed(table, f"to row {last}", count, newest.replace(tzinfo=UTC)))
    return tuple(found)
