"""OTLP lines into rows: DuckDB reads the JSON itself, with the shape told beforehand.

A line is one export request in OTLP's JSON, as a collector's file exporter writes it and as
``rules.canonical_line`` makes it of a body. Told the shape, DuckDB needs a third of the time its
own guess of the shape takes.
"""

# ruff: noqa: S608  only constants of this file and quoted paths enter the SQL
from pathlib import Path

import duckdb

from flows.agent_analytics.records import LoadCounts

MAXIMUM_LINE_BYTES = 67_108_864
EXCERPT = 300
NO_SESSION = "no-session:"

_ATTRIBUTES = (
    'STRUCT("key" VARCHAR, "value" STRUCT("stringValue" VARCHAR, "intValue" VARCHAR, '
    '"doubleValue" DOUBLE, "boolValue" BOOLEAN, "arrayValue" JSON, "kvlistValue" JSON))[]'
)
_POINTS = (
    f'STRUCT("attributes" {_ATTRIBUTES}, "startTimeUnixNano" VARCHAR, "timeUnixNano" VARCHAR, '
    '"asDouble" DOUBLE, "asInt" VARCHAR, "flags" BIGINT)[]'
)
_RESOURCE = f'"resource" STRUCT("attributes" {_ATTRIBUTES})'
_METRICS = (
    f'STRUCT({_RESOURCE}, "scopeMetrics" STRUCT("metrics" STRUCT("name" VARCHAR, "unit" VARCHAR, '
    '"sum" STRUCT("aggregationTemporality" VARCHAR, "isMonotonic" BOOLEAN, '
    f'"dataPoints" {_POINTS}), "gauge" STRUCT("dataPoints" {_POINTS}), '
    '"histogram" JSON, "exponentialHistogram" JSON, "summary" JSON)[])[])[]'
)
_LOGS = (
    f'STRUCT({_RESOURCE}, "scopeLogs" STRUCT("logRecords" STRUCT("timeUnixNano" VARCHAR, '
    '"observedTimeUnixNano" VARCHAR, "severityText" VARCHAR, "eventName" VARCHAR, '
    f'"body" STRUCT("stringValue" VARCHAR), "attributes" {_ATTRIBUTES})[])[])[]'
)

# CTEs are materialized where DuckDB would otherwise compute the same map once per use of it.
# The first of attributes with the same key counts; a number keeps being a number.
MACROS = f"""
create or replace temp macro otlp_map(attributes) as map_from_entries(list_transform(
    case
        when len(list_distinct(list_transform(coalesce(attributes, []), lambda b: b.key)))
            = len(coalesce(attributes, [])) then coalesce(attributes, [])
        else list_filter(attributes, lambda a, i: a.key is not null and list_position(
            list_transform(attributes, lambda b: b.key), a.key) = i)
    end,
    lambda a: struct_pack(k := a.key, v := coalesce(
        to_json(a.value.stringValue), to_json(try_cast(a.value.intValue as bigint)),
        to_json(a.value.doubleValue), to_json(a.value.boolValue),
        a.value.arrayValue, a.value.kvlistValue, 'null'::json))));
create or replace temp macro otlp_text(point, resource, name) as
    nullif(trim(coalesce(point[name] ->> '$', resource[name] ->> '$')), '');
create or replace temp macro otlp_time(nanos) as
    make_timestamp(nullif(try_cast(nanos as bigint), 0) // 1000);
create or replace temp macro otlp_key(map) as array_to_string(list_sort(list_transform(
    map_entries(map),
    lambda e: e.key || chr(30) || coalesce(cast(e.value as varchar), ''))), chr(31));
create or replace temp macro otlp_developer(point, resource) as coalesce(
    otlp_text(point, resource, 'developer_id'), otlp_text(point, resource, 'x-developer-id'),
    lower(otlp_text(point, resource, 'user.email')),
    otlp_text(point, resource, 'user.account_uuid'),
    otlp_text(point, resource, 'user.account_id'), otlp_text(point, resource, 'user.id'),
    'unknown');
create or replace temp macro otlp_session(point, resource, developer) as coalesce(
    otlp_text(point, resource, 'session.id'), otlp_text(point, resource, 'session_id'),
    '{NO_SESSION}' || developer);
create or replace temp macro otlp_agent(point, resource, name) as
    case coalesce(otlp_text(point, resource, 'agent_type'), nullif(split_part(name, '.', 1), ''),
                  otlp_text(point, resource, 'service.name'), 'unknown')
        when 'copilot' then 'github_copilot' when 'claude-code' then 'claude_code'
        else coalesce(otlp_text(point, resource, 'agent_type'),
                      nullif(split_part(name, '.', 1), ''),
                      otlp_text(point, resource, 'service.name'), 'unknown') end;
"""

_METRIC_ROWS = """
create or replace temp table new_metrics as
with resources as (
    select unnest(resourceMetrics) as r from {lines}
), scopes as materialized (
    select
        otlp_map(r.resource.attributes) as resource,
        otlp_key(otlp_map(r.resource.attributes)) as resource_key,
        unnest(r.scopeMetrics) as s
    from resources
), metrics as (
    select resource, resource_key, unnest(s.metrics) as m from scopes
), points as (
    select
        resource, resource_key, m.name, m.unit,
        m.sum is not null as is_sum, m.sum.isMonotonic as is_monotonic,
        m.sum.aggregationTemporality as temporality,
        unnest(coalesce(m.sum.dataPoints, m.gauge.dataPoints)) as p
    from metrics
), mapped as materialized (
    select *, otlp_map(p.attributes) as point from points
), typed as materialized (
    select
        otlp_time(p.timeUnixNano) as "timestamp",
        otlp_time(p.startTimeUnixNano) as start_timestamp,
        otlp_developer(point, resource) as developer_id,
        nullif(name, '') as metric_name,
        coalesce(p.asDouble, try_cast(p.asInt as double)) as metric_value,
        case
            when not is_sum then 'gauge'
            when temporality in ('2', 'AGGREGATION_TEMPORALITY_CUMULATIVE') then 'cumulative'
            when temporality in ('1', 'AGGREGATION_TEMPORALITY_DELTA') then 'delta'
        end as temporality,
        coalesce(is_monotonic, false) as is_monotonic,
        unit, name, point, resource,
        coalesce(p.flags, 0) % 2 = 1 as has_no_value,
        concat_ws(chr(29), name, otlp_key(point), resource_key) as series
    from mapped
)
select
    "timestamp", start_timestamp, developer_id, metric_name, metric_value, temporality,
    is_monotonic, unit,
    otlp_session(point, resource, developer_id) as session_id,
    otlp_agent(point, resource, name) as agent_type,
    otlp_text(point, resource, 'model') as model_name,
    cast(point as json) as attributes,
    cast(resource as json) as resource_attributes,
    otlp_text(point, resource, 'user.email') as email,
    otlp_text(point, resource, 'user.account_uuid') as account,
    otlp_text(point, resource, 'user.id') as installation,
    md5_number(series) as series_key,
    md5_number(concat_ws(
        chr(29), series, epoch_us("timestamp"), coalesce(epoch_us(start_timestamp), 0), metric_value
    )) as point_key,
    case
        when metric_name is null then 'a metric without a name'
        when "timestamp" is null then 'a data point without a time'
        when metric_value is null or not isfinite(metric_value) then 'a data point without a number'
        when temporality is null then 'a sum that is neither delta nor cumulative'
    end as reason
from typed
where not has_no_value
"""

_LOG_ROWS = """
create or replace temp table new_logs as
with resources as (
    select unnest(resourceLogs) as r from {lines}
), scopes as materialized (
    select otlp_map(r.resource.attributes) as resource, unnest(r.scopeLogs) as s from resources
), records as (
    select resource, unnest(s.logRecords) as l from scopes
), mapped as materialized (
    select *, otlp_map(l.attributes) as point from records
), typed as materialized (
    select
        coalesce(otlp_time(l.timeUnixNano), otlp_time(l.observedTimeUnixNano)) as "timestamp",
        otlp_developer(point, resource) as developer_id,
        upper(coalesce(nullif(l.severityText, ''), 'INFO')) as severity,
        l.body.stringValue as body,
        coalesce(
            nullif(l.eventName, ''), otlp_text(point, resource, 'event.name'), l.body.stringValue
        ) as event_name,
        point, resource
    from mapped
)
select
    "timestamp", developer_id, severity, body,
    regexp_replace(event_name, '^claude_code\\.', '') as event_name,
    otlp_session(point, resource, developer_id) as session_id,
    otlp_agent(point, resource, case when contains(coalesce(body, ''), '.') then body end)
        as agent_type,
    otlp_text(point, resource, 'model') as model_name,
    cast(point as json) as attributes,
    cast(resource as json) as resource_attributes,
    otlp_text(point, resource, 'user.email') as email,
    otlp_text(point, resource, 'user.account_uuid') as account,
    otlp_text(point, resource, 'user.id') as installation,
    md5_number(concat_ws(
        chr(29), epoch_us("timestamp"), severity, body, event_name, otlp_key(point),
        otlp_key(resource)
    )) as log_key,
    case when "timestamp" is null then 'an event without a time' end as reason
from typed
"""

_UNREAD_KINDS = """
with resources as (
    select unnest(resourceMetrics) as r from {lines}
), metrics as (
    select unnest(s.metrics, recursive := false) as m
    from (select unnest(r.scopeMetrics) as s from resources)
)
select distinct
    'a metric of a kind that is not read (histogram or summary)' as reason, m.name as excerpt
from metrics
where m.histogram is not null or m.exponentialHistogram is not null or m.summary is not null
"""


def read_lines(paths: list[Path]) -> str:
    """The table function that reads these files of lines, gzip by the name's ending."""
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return (
        f"read_json([{listed}], format = 'newline_delimited', "
        f"columns = {{resourceMetrics: '{_METRICS}', resourceLogs: '{_LOGS}'}}, "
        f"maximum_object_size = {MAXIMUM_LINE_BYTES})"
    )


def load_lines(connection: duckdb.DuckDBPyConnection, paths: list[Path], source: str) -> LoadCounts:
    """Load files of OTLP lines into ``raw``, leaving out points and events that are there already.

    The caller has begun a transaction. Rows a column of which makes no sense go to
    ``raw.rejected``; a line that is not OTLP at all raises duckdb.Error.
    """
    connection.execute(MACROS)
    connection.execute(f"create or replace temp table otlp_lines as from {read_lines(paths)}")
    connection.execute(_METRIC_ROWS.format(lines="otlp_lines"))
    connection.execute(_LOG_ROWS.format(lines="otlp_lines"))
    rejected = _reject(connection, source)
    connection.execute("drop table otlp_lines")
    counts = _insert(connection, "metrics", "point_key", METRIC_COLUMNS)
    counts += _insert(connection, "logs", "log_key", LOG_COLUMNS)
    return counts + LoadCounts(rejected=rejected)


METRIC_COLUMNS = (
    '"timestamp", developer_id, metric_name, metric_value, attributes, start_timestamp, '
    "temporality, is_monotonic, unit, session_id, agent_type, model_name, resource_attributes, "
    "series_key, point_key"
)
LOG_COLUMNS = (
    '"timestamp", developer_id, severity, body, attributes, event_name, session_id, agent_type, '
    "model_name, resource_attributes, log_key"
)


def _reject(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    aside = (
        f"select reason, left(concat_ws(' ', metric_name, attributes), {EXCERPT}) as excerpt "
        "from new_metrics where reason is not null union all "
        f"select reason, left(concat_ws(' ', event_name, attributes), {EXCERPT}) "
        "from new_logs where reason is not null union all "
        f"select * from ({_UNREAD_KINDS.format(lines='otlp_lines')}) union all "
        "select 'a line of neither metrics nor logs', '' from otlp_lines "
        "where resourceMetrics is null and resourceLogs is null"
    )
    rows = connection.execute(
        "insert or ignore into raw.rejected "
        f"select ?, reason, coalesce(excerpt, ''), {NOW} from ({aside}) "
        "group by reason, excerpt",
        [source],
    ).fetchall()
    connection.execute("delete from new_metrics where reason is not null")
    connection.execute("delete from new_logs where reason is not null")
    return int(rows[0][0])


NOW = "cast(now() at time zone 'UTC' as timestamp)"


def _insert(connection: duckdb.DuckDBPyConnection, kind: str, key: str, columns: str) -> LoadCounts:
    """The rows whose key is new, once each. Keys are compared apart from the wide rows."""
    seen = connection.execute(f"select count(*) from new_{kind}").fetchall()[0][0]
    connection.execute(
        f"""
        create or replace temp table kept as
        with first_copies as (
            select {key}, min(rowid) as kept_row from new_{kind} group by {key}
        ),
        known as (
            select distinct t.{key} from raw.otel_{kind} as t
            semi join first_copies on t.{key} = first_copies.{key}
        )
        select kept_row from first_copies anti join known using ({key})
        """
    )
    connection.execute(
        f"insert into raw.otel_{kind} ({columns}, created_at) "
        f"select {columns}, {NOW} from new_{kind} where rowid in (select kept_row from kept)"
    )
    connection.execute(
        f"""
        insert or ignore into raw.developer_identities
        select developer_id, identity, {NOW}
        from (
            select distinct
                developer_id, unnest([lower(email), account, installation]) as identity
            from new_{kind}
        )
        where identity is not null
        """
    )
    new = connection.execute("select count(*) from kept").fetchall()[0][0]
    connection.execute(f"drop table new_{kind}; drop table kept")
    return LoadCounts(rows_new=int(new), rows_repeated=int(seen) - int(new))
