"""Loads files of OTLP lines: what is new of them goes to its tables, what makes no sense aside."""

# ruff: noqa: S608  only constants of this package and quoted paths enter the SQL
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from flows._shared.otlp_values import one_spelling
from flows.agent_analytics.raw.otlp.shapes import (
    ANY,
    LOGS,
    MACROS,
    METRICS,
    SPELLED_NESTED,
    read_lines,
)
from flows.agent_analytics.raw.otlp.statements import (
    COUNTERS,
    DOUBLES,
    EMPTY,
    EXCERPT,
    FORGET_EMPTY,
    LOG_ROWS,
    METRIC_ROWS,
    NESTED_VALUES,
    NOW,
    RECORD_ROWS,
    REJECT_DOUBLES,
    SERIES,
    TEXTS,
)
from flows.agent_analytics.raw.purged import show_purged
from flows.agent_analytics.records import LoadCounts, UnreadableTelemetryError

NESTED_AT_A_TIME = 1_000
_COUNTER_COLUMNS = (
    "series_key, metric_name, developer_id, session_id, agent_type, model_name, attributes, "
    "resource_attributes"
)
_POINT_COLUMNS = (
    '"timestamp", metric_value, observations, start_timestamp, temporality, is_monotonic, unit, '
    "series_key, point_key"
)
# Keys are made before of what was sent: what is sent again is known again.
NAMED_IN_SERIES = {
    "developer_id": "alone",
    "session_id": "session",
    "attributes": "json",
    "resource_attributes": "json",
    "email": "alone",
    "account": "alone",
    "installation": "alone",
}
_LOG_COLUMNS = (
    "developer_id, severity, body, attributes, event_name, session_id, agent_type, model_name, "
    "resource_attributes, log_key"
)


def load_lines(
    connection: duckdb.DuckDBPyConnection,
    paths: list[Path],
    source: str,
    *,
    longest: int = 16 << 20,
    is_canonical: bool = False,
) -> LoadCounts:
    """Load files of OTLP lines into ``raw``, leaving out points and events that are there already.

    The caller has begun a transaction. Points and events that make no sense go to ``raw.rejected``.

    Args:
        longest: bytes that no line has more of.
        is_canonical: whether every line is as ``rules.canonical_json`` makes it.

    Raises:
        UnreadableTelemetryError, duckdb.Error: a line that is not OTLP, or is longer, or, where
            it may be in another spelling, holds nothing.
    """
    connection.execute(MACROS)
    metrics = read_lines(paths, longest, resourceMetrics=METRICS)
    logs = read_lines(paths, longest, resourceMetrics=ANY, resourceLogs=LOGS)
    counters = _made(connection, COUNTERS.format(lines=metrics))
    records = _made(connection, RECORD_ROWS.format(lines=logs))
    if any(rows for (rows,) in connection.execute(EMPTY).fetchall()):
        if not is_canonical:
            raise _unreadable(source, "a part holds nothing, or by names that are not of OTLP")
        connection.execute(FORGET_EMPTY)
    with _nested_spelled(connection, source):
        counts = _load_read(connection, source, counters, records)
    connection.execute("drop table new_counters; drop table new_records; drop table new_texts")
    return counts


def _load_read(
    connection: duckdb.DuckDBPyConnection, source: str, counters: int, records: int
) -> LoadCounts:
    connection.execute(TEXTS)
    _check_texts(connection, source)
    counts = LoadCounts()
    # Of a small batch most of the time is the planning of statements, be there rows or none.
    if counters:
        counts += _load_metrics(connection, source)
    if records:
        counts += _load_logs(connection, source)
    return counts + LoadCounts(rejected=_tell_of_doubles(connection, source))


def _made(connection: duckdb.DuckDBPyConnection, statement: str) -> int:
    """Make a table; its rows."""
    return int(connection.execute(statement).fetchall()[0][0])


def _load_metrics(connection: duckdb.DuckDBPyConnection, source: str) -> LoadCounts:
    connection.execute(SERIES)
    connection.execute(METRIC_ROWS)
    show_purged(connection, "new_series", NAMED_IN_SERIES)
    rejected = _reject(
        connection,
        source,
        "metric_name, metric_value, attributes",
        "new_metrics inner join new_series using (series_row)",
    )
    counts = _insert_metrics(connection)
    connection.execute("drop table new_metrics; drop table new_series")
    return counts + LoadCounts(rejected=rejected)


def _load_logs(connection: duckdb.DuckDBPyConnection, source: str) -> LoadCounts:
    connection.execute(LOG_ROWS)
    show_purged(connection, "new_logs", NAMED_IN_SERIES | {"body": "piece"})
    rejected = _reject(connection, source, "event_name, attributes", "new_logs")
    counts = _insert_logs(connection)
    connection.execute("drop table new_logs")
    return counts + LoadCounts(rejected=rejected)


@contextmanager
def _nested_spelled(connection: duckdb.DuckDBPyConnection, source: str) -> Iterator[None]:
    """Lists, maps and bytes of these lines are read in their one spelling meanwhile."""
    nested = connection.execute(NESTED_VALUES)
    changed: dict[tuple[str, str], str] = {}
    while values := nested.fetchmany(NESTED_AT_A_TIME):
        for kind, value in values:
            try:
                spelled = one_spelling(kind, value)
            except ValueError as error:
                raise _unreadable(source, f"a value of another shape: {error}") from error
            if spelled != value:
                changed[kind, value] = spelled
    if not changed:
        yield
        return

    def look_up(kind: str, value: str) -> str:
        return changed.get((kind, value), value)

    connection.create_function("otlp_spelled", look_up, ["VARCHAR", "VARCHAR"], "VARCHAR")
    try:
        connection.execute(SPELLED_NESTED)
        yield
    finally:
        connection.remove_function("otlp_spelled")


def _check_texts(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    bad = connection.execute("select text from new_texts where not is_otlp limit 1").fetchone()
    if bad:
        shape = "attributes that are not a list of key and value, each once"
        raise _unreadable(source, f"{shape}: {bad[0][:EXCERPT]}")


def _unreadable(source: str, seen: str) -> UnreadableTelemetryError:
    return UnreadableTelemetryError(f"Reading {source}", seen, "Check what wrote it")


def _tell_of_doubles(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    connection.execute(DOUBLES)
    show_purged(connection, "new_doubles", {"excerpt": "piece"})
    rows = connection.execute(REJECT_DOUBLES, [source]).fetchall()
    connection.execute("drop table new_doubles")
    return int(rows[0][0])


def _reject(connection: duckdb.DuckDBPyConnection, source: str, told: str, relation: str) -> int:
    rows = connection.execute(
        f"""
        insert or ignore into raw.rejected
        select
            ?, reason,
            left(
                concat_ws(' ', 'from', developer_id, 'in', session_id, 'at', timestamp, {told}),
                {EXCERPT}
            ) as excerpt,
            {NOW}
        from {relation}
        where reason is not null
        group by reason, excerpt
        """,
        [source],
    ).fetchall()
    return int(rows[0][0])


def _insert_metrics(connection: duckdb.DuckDBPyConnection) -> LoadCounts:
    seen, new = _keep_new(connection, "new_metrics", "raw.otel_points", "point_key")
    connection.execute(
        f"""
        insert into raw.otel_counters ({_COUNTER_COLUMNS}, created_at)
        select distinct on (series_key) {_COUNTER_COLUMNS}, {NOW}
        from new_series
        where
            series_row in (select series_row from new_metrics where reason is null)
            and series_key not in (select series_key from raw.otel_counters)
        """
    )
    connection.execute(
        f"""
        insert into raw.otel_points ({_POINT_COLUMNS}, created_at)
        select {_POINT_COLUMNS}, {NOW}
        from new_metrics
        where rowid in (select kept_row from kept)
        """
    )
    _add_identities(connection, "new_series")
    return LoadCounts(rows_new=new, rows_repeated=seen - new)


def _insert_logs(connection: duckdb.DuckDBPyConnection) -> LoadCounts:
    seen, new = _keep_new(connection, "new_logs", "raw.otel_logs", "log_key")
    connection.execute(
        f"""
        insert into raw.otel_logs ("timestamp", {_LOG_COLUMNS}, created_at)
        select "timestamp", {_LOG_COLUMNS}, {NOW}
        from new_logs
        where rowid in (select kept_row from kept)
        """
    )
    _add_identities(connection, "new_logs")
    return LoadCounts(rows_new=new, rows_repeated=seen - new)


def _keep_new(
    connection: duckdb.DuckDBPyConnection, rows: str, table: str, key: str
) -> tuple[int, int]:
    """Note in ``kept`` the rows whose key is new, once each; rows that make sense, rows kept.

    A key holds the row's time: only rows of the times that came can have it already.
    """
    connection.execute(
        f"""
        create or replace temp table kept as
        with first_copies as (
            select {key}, min(rowid) as kept_row from {rows}
            where reason is null
            group by {key}
        ),
        times as (
            select min("timestamp") as first_time, max("timestamp") as last_time from {rows}
        )
        select kept_row
        from first_copies
        anti join (
            select {key} from {table}
            where "timestamp" between (select first_time from times)
                and (select last_time from times)
        ) as known using ({key})
        """
    )
    row = connection.execute(
        f"select count(*), (select count(*) from kept) from {rows} where reason is null"
    ).fetchall()[0]
    return int(row[0]), int(row[1])


def _add_identities(connection: duckdb.DuckDBPyConnection, rows: str) -> None:
    connection.execute(
        f"""
        insert or ignore into raw.developer_identities
        select developer_id, identity, {NOW}
        from (
            select distinct
                developer_id, unnest([lower(email), account, installation]) as identity
            from {rows}
        )
        where identity is not null
        """
    )
