"""OTLP lines into rows: DuckDB reads the JSON itself, with the shape told beforehand.

A line is one export request in OTLP's JSON, as a collector's file exporter writes it and as
``rules.canonical_line`` makes it of a body. Told the shape, DuckDB needs a third of the time its
own guess of the shape takes.

Points of one counter repeat its attributes. They stay text until it is known which are different,
so that reading attributes, naming a developer and hashing cost once per counter and batch.
"""

# ruff: noqa: S608  only constants of this file and quoted paths enter the SQL
from pathlib import Path

import duckdb

from flows.agent_analytics.records import LoadCounts, UnreadableTelemetryError

MAXIMUM_LINE_BYTES = 67_108_864
EXCERPT = 300
NO_SESSION = "no-session:"
NOW = "cast(now() at time zone 'UTC' as timestamp)"

_ATTRIBUTES = (
    'STRUCT("key" VARCHAR, "value" STRUCT("stringValue" VARCHAR, "intValue" VARCHAR, '
    '"doubleValue" DOUBLE, "boolValue" BOOLEAN, "arrayValue" JSON, "kvlistValue" JSON))[]'
)
# The same, as the function that reads a list out of a text wants it told.
_ATTRIBUTES_IN_TEXT = (
    '[{"key":"VARCHAR","value":{"stringValue":"VARCHAR","intValue":"VARCHAR",'
    '"doubleValue":"DOUBLE","boolValue":"BOOLEAN","arrayValue":"JSON","kvlistValue":"JSON"}}]'
)
_POINTS = (
    'STRUCT("attributes" JSON, "startTimeUnixNano" VARCHAR, "timeUnixNano" VARCHAR, '
    '"asDouble" DOUBLE, "asInt" VARCHAR, "flags" BIGINT)[]'
)
_METRICS = (
    'STRUCT("resource" STRUCT("attributes" JSON), '
    '"scopeMetrics" STRUCT("scope" STRUCT("name" VARCHAR, "version" VARCHAR), '
    '"metrics" STRUCT("name" VARCHAR, "unit" VARCHAR, '
    '"sum" STRUCT("aggregationTemporality" VARCHAR, "isMonotonic" BOOLEAN, '
    f'"dataPoints" {_POINTS}), "gauge" STRUCT("dataPoints" {_POINTS}), '
    '"histogram" JSON, "exponentialHistogram" JSON, "summary" JSON)[])[])[]'
)
_LOGS = (
    f'STRUCT("resource" STRUCT("attributes" {_ATTRIBUTES}), '
    '"scopeLogs" STRUCT("logRecords" STRUCT("timeUnixNano" VARCHAR, '
    '"observedTimeUnixNano" VARCHAR, "severityText" VARCHAR, "eventName" VARCHAR, '
    f'"body" STRUCT("stringValue" VARCHAR), "attributes" {_ATTRIBUTES})[])[])[]'
)

# Attributes become one JSON object, its keys in order: the same attributes are the same text. Of
# attributes with the same key the first counts, a number keeps being a number.
MACROS = (
    r"""
create or replace temp macro otlp_object(attributes) as cast('{' || array_to_string(list_sort(
    list_transform(
        case
            when len(list_distinct(list_transform(attributes, lambda b: coalesce(b.key, ''))))
                = len(attributes) then attributes
            else list_filter(attributes, lambda a, i: list_position(
                list_transform(attributes, lambda b: coalesce(b.key, '')), coalesce(a.key, '')) = i)
        end,
        lambda a: cast(to_json(coalesce(a.key, '')) as varchar) || ':' || coalesce(
            cast(to_json(a.value.stringValue) as varchar),
            cast(try_cast(a.value.intValue as bigint) as varchar),
            cast(to_json(a.value.doubleValue) as varchar),
            cast(a.value.boolValue as varchar),
            cast(a.value.arrayValue as varchar), cast(a.value.kvlistValue as varchar), 'null'))
    ), ',') || '}' as json);
create or replace temp macro otlp_time(nanos) as
    make_timestamp(nullif(try_cast(nanos as bigint), 0) // 1000);
create or replace temp macro otlp_names(object) as list_transform(object ->> [
    '$.developer_id', '$."x-developer-id"', '$."user.email"', '$."user.account_uuid"',
    '$."user.account_id"', '$."user.id"', '$."session.id"', '$.session_id', '$.agent_type',
    '$."service.name"', '$.model', '$."event.name"'], lambda name: nullif(trim(name), ''));
create or replace temp macro otlp_named(point, resource, place) as
    coalesce(point[place], resource[place]);
create or replace temp macro otlp_developer(p, r) as coalesce(
    otlp_named(p, r, 1), otlp_named(p, r, 2), lower(otlp_named(p, r, 3)), otlp_named(p, r, 4),
    otlp_named(p, r, 5), otlp_named(p, r, 6), 'unknown');
create or replace temp macro otlp_session(p, r) as coalesce(
    otlp_named(p, r, 7), otlp_named(p, r, 8), '"""
    + NO_SESSION
    + r"""' || otlp_developer(p, r));
create or replace temp macro otlp_agent(p, r, name) as
    case coalesce(otlp_named(p, r, 9), nullif(split_part(name, '.', 1), ''),
                  otlp_named(p, r, 10), 'unknown')
        when 'copilot' then 'github_copilot' when 'claude-code' then 'claude_code'
        else coalesce(otlp_named(p, r, 9), nullif(split_part(name, '.', 1), ''),
                      otlp_named(p, r, 10), 'unknown') end;
"""
)

_POINT_ROWS = """
create or replace temp table new_points as
with resources as (
    select unnest(resourceMetrics) as r from otlp_lines
), scopes as (
    select coalesce(r.resource.attributes, '[]') as resource_text, unnest(r.scopeMetrics) as s
    from resources
), metrics as (
    select
        resource_text, concat_ws(
            chr(30), coalesce(s.scope.name, ''), coalesce(s.scope.version, '')
        ) as scope,
        unnest(s.metrics) as m
    from scopes
), points as (
    select
        resource_text, scope, coalesce(m.name, '') as metric_name, m.unit,
        m.sum is not null as is_sum, m.sum.isMonotonic as is_monotonic,
        m.sum.aggregationTemporality as temporality,
        unnest(coalesce(m.sum.dataPoints, m.gauge.dataPoints)) as p
    from metrics
)
select
    resource_text, scope, metric_name, coalesce(p.attributes, '[]') as point_text,
    hash(resource_text, scope, metric_name, point_text) as texts_hash,
    unit,
    otlp_time(p.timeUnixNano) as "timestamp",
    otlp_time(p.startTimeUnixNano) as start_timestamp,
    coalesce(p.asDouble, try_cast(p.asInt as double)) as metric_value,
    case
        when not is_sum then 'gauge'
        when temporality in ('2', 'AGGREGATION_TEMPORALITY_CUMULATIVE') then 'cumulative'
        when temporality in ('1', 'AGGREGATION_TEMPORALITY_DELTA') then 'delta'
    end as temporality,
    coalesce(is_monotonic, false) as is_monotonic
from points
where coalesce(p.flags, 0) % 2 = 0
"""

# ``from_json`` makes NULL of what has another shape, so the shape is looked at apart from it.
_TEXTS = f"""
create or replace temp table new_texts as
with texts as (
    select distinct point_text as text from new_points
    union
    select distinct resource_text from new_points
), objects as materialized (
    select
        text,
        json_type(text) = 'ARRAY' and coalesce(list_bool_and(list_transform(
            from_json(text, '["JSON"]'),
            lambda e: json_type(e) = 'OBJECT'
                and coalesce(json_type(e, '$.key'), 'VARCHAR') = 'VARCHAR'
                and coalesce(json_type(e, '$.value'), 'OBJECT') = 'OBJECT'
                and (json_type(e, '$.value.doubleValue') is null
                    or try_cast(e ->> '$.value.doubleValue' as double) is not null)
                and (json_type(e, '$.value.boolValue') is null
                    or json_type(e, '$.value.boolValue') = 'BOOLEAN')
        )), true) as is_otlp,
        otlp_object(from_json(text, '{_ATTRIBUTES_IN_TEXT}')) as object
    from texts
)
select text, is_otlp, object, otlp_names(object) as names from objects
"""

_SERIES = """
create or replace temp table new_series as
with texts as (
    select distinct texts_hash, resource_text, scope, metric_name, point_text from new_points
)
select
    texts.*,
    concat_ws(
        chr(29), metric_name, scope, cast(point.object as varchar), cast(resource.object as varchar)
    ) as series,
    md5(series) as series_hash,
    md5_number(series) as series_key,
    otlp_developer(point.names, resource.names) as developer_id,
    otlp_session(point.names, resource.names) as session_id,
    otlp_agent(point.names, resource.names, metric_name) as agent_type,
    otlp_named(point.names, resource.names, 11) as model_name,
    point.object as attributes,
    resource.object as resource_attributes,
    otlp_named(point.names, resource.names, 3) as email,
    otlp_named(point.names, resource.names, 4) as account,
    otlp_named(point.names, resource.names, 6) as installation
from texts
inner join new_texts as point on texts.point_text = point.text
inner join new_texts as resource on texts.resource_text = resource.text
"""

# The text of a hash is hashed on: DuckDB writes a 128-bit number as text a hundred times slower.
_METRIC_ROWS = """
create or replace temp table new_metrics as
select
    points."timestamp", points.start_timestamp, points.metric_value, points.temporality,
    points.is_monotonic, points.unit,
    series.rowid as series_row,
    md5_number(concat_ws(
        chr(29), series.series_hash, epoch_us(points."timestamp"),
        coalesce(epoch_us(points.start_timestamp), 0), points.metric_value
    )) as point_key,
    case
        when points.metric_name = '' then 'a metric without a name'
        when points."timestamp" is null then 'a data point without a time'
        when points.metric_value is null or not isfinite(points.metric_value)
            then 'a data point without a number'
        when points.temporality is null then 'a sum that is neither delta nor cumulative'
    end as reason
from new_points as points
inner join new_series as series using (texts_hash, resource_text, scope, metric_name, point_text)
"""

_LOG_ROWS = r"""
create or replace temp table new_logs as
with resources as (
    select unnest(resourceLogs) as r from otlp_lines
), scopes as materialized (
    select otlp_object(coalesce(r.resource.attributes, [])) as resource, unnest(r.scopeLogs) as s
    from resources
), records as (
    select resource, unnest(s.logRecords) as l from scopes
), objects as materialized (
    select resource, l, otlp_object(coalesce(l.attributes, [])) as attributes from records
), named as materialized (
    select
        *, otlp_names(attributes) as p, otlp_names(resource) as r,
        coalesce(otlp_time(l.timeUnixNano), otlp_time(l.observedTimeUnixNano)) as "timestamp",
        upper(coalesce(nullif(l.severityText, ''), 'INFO')) as severity,
        l.body.stringValue as body
    from objects
), events as (
    select
        *, coalesce(nullif(l.eventName, ''), otlp_named(p, r, 12), body) as event_name
    from named
)
select
    "timestamp", severity, body,
    regexp_replace(event_name, '^claude_code\.', '') as event_name,
    otlp_developer(p, r) as developer_id,
    otlp_session(p, r) as session_id,
    otlp_agent(p, r, case when contains(coalesce(body, ''), '.') then body end) as agent_type,
    otlp_named(p, r, 11) as model_name,
    attributes,
    resource as resource_attributes,
    otlp_named(p, r, 3) as email,
    otlp_named(p, r, 4) as account,
    otlp_named(p, r, 6) as installation,
    md5_number(concat_ws(
        chr(29), epoch_us("timestamp"), severity, coalesce(body, ''), coalesce(event_name, ''),
        cast(attributes as varchar), cast(resource as varchar)
    )) as log_key,
    case when "timestamp" is null then 'an event without a time' end as reason
from events
"""

_UNREAD_KINDS = """
with resources as (
    select unnest(resourceMetrics) as r from otlp_lines
), metrics as (
    select unnest(s.metrics, recursive := false) as m
    from (select unnest(r.scopeMetrics) as s from resources)
)
select distinct
    'a metric of a kind that is not read (histogram or summary)' as reason, m.name as excerpt
from metrics
where m.histogram is not null or m.exponentialHistogram is not null or m.summary is not null
"""

_METRIC_COLUMNS = (
    "developer_id, metric_name, metric_value, attributes, start_timestamp, temporality, "
    "is_monotonic, unit, session_id, agent_type, model_name, resource_attributes, series_key, "
    "point_key"
)
_LOG_COLUMNS = (
    "developer_id, severity, body, attributes, event_name, session_id, agent_type, model_name, "
    "resource_attributes, log_key"
)


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

    The caller has begun a transaction. Points and events that make no sense go to ``raw.rejected``.

    Raises:
        UnreadableTelemetryError, duckdb.Error: a line that is not OTLP.
    """
    connection.execute(MACROS)
    connection.execute(f"create or replace temp table otlp_lines as from {read_lines(paths)}")
    connection.execute(_POINT_ROWS)
    connection.execute(_TEXTS)
    _check_texts(connection, source)
    connection.execute(_SERIES)
    connection.execute(_METRIC_ROWS)
    connection.execute("drop table new_points; drop table new_texts")
    connection.execute(_LOG_ROWS)
    rejected = _reject(connection, source)
    connection.execute("drop table otlp_lines")
    counts = _insert_metrics(connection) + _insert_logs(connection)
    connection.execute("drop table new_metrics; drop table new_series; drop table new_logs")
    return counts + LoadCounts(rejected=rejected)


def _check_texts(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    bad = connection.execute("select text from new_texts where not is_otlp limit 1").fetchone()
    if bad:
        raise UnreadableTelemetryError(
            f"Reading {source}",
            f"attributes that are not a list of key and value: {bad[0][:EXCERPT]}",
            "Check what wrote it",
        )


def _reject(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    aside = (
        f"select reason, left(concat_ws(' ', metric_name, attributes), {EXCERPT}) as excerpt "
        "from new_metrics inner join new_series as s on series_row = s.rowid "
        "where reason is not null union all "
        f"select reason, left(concat_ws(' ', event_name, attributes), {EXCERPT}) "
        f"from new_logs where reason is not null union all select * from ({_UNREAD_KINDS}) "
        "union all select 'a line of neither metrics nor logs', '' from otlp_lines "
        "where resourceMetrics is null and resourceLogs is null"
    )
    rows = connection.execute(
        "insert or ignore into raw.rejected "
        f"select ?, reason, coalesce(excerpt, ''), {NOW} from ({aside}) "
        "group by reason, excerpt",
        [source],
    ).fetchall()
    return int(rows[0][0])


def _insert_metrics(connection: duckdb.DuckDBPyConnection) -> LoadCounts:
    seen, new = _keep_new(connection, "metrics", "point_key")
    connection.execute(
        f"""
        insert into raw.otel_metrics ("timestamp", {_METRIC_COLUMNS}, created_at)
        select new_metrics."timestamp", {_METRIC_COLUMNS}, {NOW}
        from new_metrics
        inner join new_series as s on series_row = s.rowid
        where new_metrics.rowid in (select kept_row from kept)
        """
    )
    _add_identities(connection, "new_series")
    return LoadCounts(rows_new=new, rows_repeated=seen - new)


def _insert_logs(connection: duckdb.DuckDBPyConnection) -> LoadCounts:
    seen, new = _keep_new(connection, "logs", "log_key")
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


def _keep_new(connection: duckdb.DuckDBPyConnection, kind: str, key: str) -> tuple[int, int]:
    """Note in ``kept`` the rows whose key is new, once each; rows that make sense, rows kept.

    A key holds the row's time: only rows of the times that came can have it already.
    """
    connection.execute(
        f"""
        create or replace temp table kept as
        with first_copies as (
            select {key}, min(rowid) as kept_row from new_{kind}
            where reason is null
            group by {key}
        ),
        times as (
            select min("timestamp") as first_time, max("timestamp") as last_time from new_{kind}
        )
        select kept_row
        from first_copies
        anti join (
            select {key} from raw.otel_{kind}
            where "timestamp" between (select first_time from times)
                and (select last_time from times)
        ) as known using ({key})
        """
    )
    row = connection.execute(
        f"select count(*), (select count(*) from kept) from new_{kind} where reason is null"
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
