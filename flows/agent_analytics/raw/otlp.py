"""OTLP lines into rows: DuckDB reads the JSON itself, with the shape told beforehand.

A line is one export request in OTLP's JSON, as a collector's file exporter writes it and as
``rules.canonical_line`` makes it of a body. Told the shape, DuckDB needs a third of the time its
own guess of the shape takes.

Points of one counter repeat its attributes. They stay text until it is known which are different,
so that reading attributes, naming a developer and hashing cost once per counter and batch.
"""

# ruff: noqa: S608  only constants of this file and quoted paths enter the SQL
from collections.abc import Sequence
from pathlib import Path

import duckdb

from flows.agent_analytics.raw.agents import AGENT_OF_NAME, USAGE_ATTRIBUTES, USAGE_METRIC
from flows.agent_analytics.records import LoadCounts, UnreadableTelemetryError

# DuckDB reads in blocks of twice the longest line, one thread each: few lines are that long.
ORDINARY_LINE_BYTES = 16 * 1024**2
LONGEST_LINE_BYTES = 128 * 1024**2
EXCERPT = 1000
NO_SESSION = "no-session:"
NOW = "cast(now() at time zone 'UTC' as timestamp)"
# What no request and no counter of a session reaches; sums of a hundred million still fit.
LARGEST_REQUEST = 1e10
LARGEST_COUNTER = 1e11
# No agent sent telemetry before; a clock may be a day fast.
EARLIEST = "timestamp '2020-01-01'"
LATEST = f"{NOW} + interval 1 day"

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
    '"asDouble" DOUBLE, "asInt" VARCHAR, "sum" DOUBLE, "count" VARCHAR, "flags" BIGINT)[]'
)
_METRICS = (
    'STRUCT("resource" STRUCT("attributes" JSON), '
    '"scopeMetrics" STRUCT("scope" STRUCT("name" VARCHAR, "version" VARCHAR), '
    '"metrics" STRUCT("name" VARCHAR, "unit" VARCHAR, '
    '"sum" STRUCT("aggregationTemporality" VARCHAR, "isMonotonic" BOOLEAN, '
    f'"dataPoints" {_POINTS}), "gauge" STRUCT("dataPoints" {_POINTS}), '
    f'"histogram" STRUCT("aggregationTemporality" VARCHAR, "dataPoints" {_POINTS}), '
    f'"exponentialHistogram" STRUCT("aggregationTemporality" VARCHAR, "dataPoints" {_POINTS}), '
    '"summary" JSON)[])[])[]'
)
_LOGS = (
    'STRUCT("resource" STRUCT("attributes" JSON), '
    '"scopeLogs" STRUCT("logRecords" STRUCT("timeUnixNano" VARCHAR, '
    '"observedTimeUnixNano" VARCHAR, "severityText" VARCHAR, "eventName" VARCHAR, '
    f'"body" STRUCT("stringValue" VARCHAR), "attributes" {_ATTRIBUTES})[])[])[]'
)

# Whether something is there: what is in it is not read.
_ANY = 'STRUCT("-" BOOLEAN)[]'

# Attributes become one JSON object, its keys in order: the same attributes are the same text. Of
# attributes with the same key the first counts, a number keeps being a number.
MACROS = (
    r"""
create or replace temp macro otlp_sorted(attributes) as list_sort(list_transform(
    attributes,
    lambda a, i: struct_pack(key := coalesce(a.key, ''), place := i, value := a.value)));
create or replace temp macro otlp_firsts(sorted) as list_transform(
    list_filter(
        list_zip(sorted, list_prepend(null, sorted)),
        lambda p: p[1] is not null and p[1].key is distinct from p[2].key
    ), lambda p: p[1]);
create or replace temp macro otlp_object(attributes) as cast('{' || array_to_string(list_sort(
    list_transform(
        case
            when len(list_distinct(list_transform(attributes, lambda b: coalesce(b.key, ''))))
                = len(attributes)
                then list_transform(
                    attributes, lambda b: struct_pack(key := b.key, place := 0, value := b.value))
            else otlp_firsts(otlp_sorted(attributes))
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
    '$."service.name"', '$.model', '$."event.name"', '$."conversation.id"',
    '$."gen_ai.conversation.id"', '$."enduser.id"', '$."installation.id"',
    '$."gen_ai.response.model"', '$."gen_ai.request.model"'
    ], lambda name: nullif(trim(name), ''));
create or replace temp macro otlp_named(point, resource, place) as
    coalesce(point[place], resource[place]);
create or replace temp macro otlp_developer(p, r) as coalesce(
    otlp_named(p, r, 1), otlp_named(p, r, 2), lower(otlp_named(p, r, 3)), otlp_named(p, r, 4),
    otlp_named(p, r, 5), otlp_named(p, r, 6), otlp_named(p, r, 15), otlp_named(p, r, 16),
    'unknown');
create or replace temp macro otlp_session(p, r) as coalesce(
    otlp_named(p, r, 7), otlp_named(p, r, 8), otlp_named(p, r, 13), otlp_named(p, r, 14), '"""
    + NO_SESSION
    + r"""' || otlp_developer(p, r));
create or replace temp macro otlp_model(p, r) as
    coalesce(otlp_named(p, r, 11), otlp_named(p, r, 17), otlp_named(p, r, 18));
create or replace temp macro otlp_agent_of(name) as """
    + AGENT_OF_NAME
    + r""";
create or replace temp macro otlp_agent(p, r, name) as coalesce(
    otlp_agent_of(otlp_named(p, r, 9)), otlp_named(p, r, 9), otlp_agent_of(otlp_named(p, r, 10)),
    otlp_agent_of(name), case when not starts_with(name, 'gen_ai.')
        then nullif(split_part(name, '.', 1), '') end, otlp_named(p, r, 10), 'unknown');
"""
)

# One row per counter of these lines, with its points in a list.
_COUNTERS = """
create or replace temp table new_counters as
with resources as (
    select unnest(resourceMetrics) as r from {lines}
), scopes as (
    select coalesce(r.resource.attributes, '[]') as resource_text, unnest(r.scopeMetrics) as s
    from resources
), metrics as (
    select
        resource_text,
        concat_ws(
            chr(30), coalesce(s.scope.name, ''), coalesce(s.scope.version, '')
        ) as scope,
        unnest(s.metrics) as m
    from scopes
), points as (
    select
        resource_text, scope, coalesce(m.name, '') as metric_name, m.unit,
        coalesce(m.histogram, m.exponentialHistogram) is not null as is_histogram,
        m.sum is not null or is_histogram as is_sum,
        m.sum.isMonotonic or is_histogram as is_monotonic,
        coalesce(
            m.sum.aggregationTemporality, m.histogram.aggregationTemporality,
            m.exponentialHistogram.aggregationTemporality
        ) as temporality,
        m.summary is not null as is_unread,
        unnest(coalesce(
            m.sum.dataPoints, m.gauge.dataPoints, m.histogram.dataPoints,
            m.exponentialHistogram.dataPoints, case when is_unread then [null] end
        )) as p
    from metrics
)
select
    resource_text, scope, metric_name, coalesce(p.attributes, '[]') as point_text,
    unit,
    case
        when not is_sum then 'gauge'
        when temporality in ('2', 'AGGREGATION_TEMPORALITY_CUMULATIVE') then 'cumulative'
        when temporality in ('1', 'AGGREGATION_TEMPORALITY_DELTA') then 'delta'
    end as temporality,
    coalesce(is_monotonic, false) as is_monotonic,
    is_histogram,
    is_unread,
    list(struct_pack(
        "timestamp" := otlp_time(p.timeUnixNano),
        start_timestamp := otlp_time(p.startTimeUnixNano),
        metric_value := case
            when is_histogram then p.sum else coalesce(p.asDouble, try_cast(p.asInt as double))
        end,
        observations := case when is_histogram then try_cast(p.count as bigint) end
    )) as points
from points
where coalesce(p.flags, 0) % 2 = 0
group by all
"""

# ``from_json`` makes NULL of what has another shape, so the shape is looked at apart from it.
_TEXTS = f"""
create or replace temp table new_texts as
with texts as (
    select point_text as text from new_counters
    union
    select resource_text from new_counters
    union
    select resource_text from new_records
), objects as (
    select
        text,
        json_type(text) = 'ARRAY' and coalesce(list_bool_and(list_transform(
            from_json(text, '["JSON"]'),
            lambda e: json_type(e) = 'OBJECT'
                and list_unique(json_keys(e)) = len(json_keys(e))
                and coalesce(list_unique(json_keys(e, '$.value')), 0)
                    = coalesce(len(json_keys(e, '$.value')), 0)
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
select
    row_number() over () as series_row,
    texts.*,
    concat_ws(
        chr(29), metric_name, scope, cast(point.object as varchar), cast(resource.object as varchar)
    ) as series,
    md5(series) as series_hash,
    md5_number(series) as series_key,
    otlp_developer(point.names, resource.names) as developer_id,
    otlp_session(point.names, resource.names) as session_id,
    otlp_agent(point.names, resource.names, metric_name) as agent_type,
    otlp_model(point.names, resource.names) as model_name,
    point.object as attributes,
    resource.object as resource_attributes,
    otlp_named(point.names, resource.names, 3) as email,
    otlp_named(point.names, resource.names, 4) as account,
    coalesce(
        otlp_named(point.names, resource.names, 6), otlp_named(point.names, resource.names, 16)
    ) as installation
from new_counters as texts
inner join new_texts as point on texts.point_text = point.text
inner join new_texts as resource on texts.resource_text = resource.text
"""

# The text of a hash is hashed on: DuckDB writes a 128-bit number as text a hundred times slower.
_FAR = "a time before 2020 or more than a day after its receipt (the clock of the sender)"
_METRIC_ROWS = rf"""
create or replace temp table new_metrics as
with points as (
    select
        series_row, series_key, series_hash, metric_name, unit, temporality, is_monotonic,
        is_histogram,
        is_unread,
        regexp_matches(metric_name, '{USAGE_METRIC}') as is_usage,
        unnest(points, recursive := true)
    from new_series
)
select
    "timestamp", start_timestamp, metric_value, observations, temporality, is_monotonic, unit,
    series_row,
    series_key,
    md5_number(concat_ws(
        chr(29), series_hash, epoch_us("timestamp"), coalesce(epoch_us(start_timestamp), 0),
        metric_value
    )) as point_key,
    case
        when "timestamp" < {EARLIEST} or "timestamp" > {LATEST} then '{_FAR}'
        when is_usage and not metric_value
            between 0 and if(temporality = 'delta', {LARGEST_REQUEST}, {LARGEST_COUNTER})
            then 'a count or cost below zero or larger than any session reaches'
        when is_usage and temporality = 'gauge'
            then 'a gauge of tokens or cost: only what a sum counts can be added up'
        when is_unread then 'a metric of a kind that is not read (summary)'
        when is_histogram and metric_value is null and coalesce(observations, 0) = 0
            then 'a histogram without observations'
        when is_histogram and metric_value is null then 'a histogram without a sum'
        when metric_name = '' then 'a metric without a name'
        when "timestamp" is null then 'a data point without a time'
        when metric_value is null or not isfinite(metric_value)
            then 'a data point without a number'
        when temporality is null then 'a sum that is neither delta nor cumulative'
    end as reason
from points
"""

_RECORD_ROWS = """
create or replace temp table new_records as
with resources as (
    select
        resourceMetrics is null and resourceLogs is null as is_neither,
        unnest(case when is_neither then [null] else resourceLogs end) as r
    from {lines}
), scopes as (
    select
        is_neither,
        coalesce(r.resource.attributes, '[]') as resource_text,
        unnest(case when is_neither then [null] else r.scopeLogs end) as s
    from resources
)
select
    is_neither, resource_text,
    unnest(case when is_neither then [null] else s.logRecords end) as l
from scopes
"""

_LOG_ROWS = rf"""
create or replace temp table new_logs as
with objects as (
    select
        is_neither, resource_texts.object as resource, resource_texts.names as r, l,
        otlp_object(coalesce(l.attributes, [])) as attributes
    from new_records
    inner join new_texts as resource_texts on resource_text = resource_texts.text
), named as (
    select
        *, otlp_names(attributes) as p,
        coalesce(otlp_time(l.timeUnixNano), otlp_time(l.observedTimeUnixNano)) as "timestamp",
        upper(coalesce(nullif(l.severityText, ''), 'INFO')) as severity,
        l.body.stringValue as body
    from objects
), events as (
    select
        *,
        case when not regexp_matches(body, '\s') then body end as body_name,
        coalesce(p[12], nullif(trim(l.eventName), ''), r[12], body_name) as event_name
    from named
)
select
    "timestamp", severity, body,
    regexp_replace(event_name, '^claude_code\.', '') as event_name,
    otlp_developer(p, r) as developer_id,
    otlp_session(p, r) as session_id,
    coalesce(
        otlp_agent_of(otlp_named(p, r, 9)), otlp_named(p, r, 9),
        otlp_agent_of(otlp_named(p, r, 10)), otlp_agent_of(event_name),
        otlp_agent(p, r, case when contains(body_name, '.') then body_name end)
    ) as agent_type,
    otlp_model(p, r) as model_name,
    attributes,
    resource as resource_attributes,
    otlp_named(p, r, 3) as email,
    otlp_named(p, r, 4) as account,
    coalesce(otlp_named(p, r, 6), otlp_named(p, r, 16)) as installation,
    md5_number(concat_ws(
        chr(29), epoch_us("timestamp"), severity, coalesce(body, ''), coalesce(event_name, ''),
        cast(attributes as varchar), cast(resource as varchar)
    )) as log_key,
    case
        when is_neither then 'a line of neither metrics nor logs'
        when "timestamp" is null then 'an event without a time'
        when "timestamp" < {EARLIEST} or "timestamp" > {LATEST} then '{_FAR}'
        when not coalesce(list_bool_and(list_transform(
            attributes ->> {USAGE_ATTRIBUTES},
            lambda n: nullif(trim(n), '') is null or coalesce(
                try_cast(n as double) between 0 and {LARGEST_REQUEST}
                and try_cast(n as double) = floor(try_cast(n as double)), false)
        )), true) then 'a count of tokens that is no whole number from 0 to 1e10'
        when nullif(trim(attributes ->> '$.cost_usd'), '') is not null and not coalesce(
            try_cast(attributes ->> '$.cost_usd' as double) between 0 and {LARGEST_REQUEST}, false
        ) then 'a cost that is no number from 0 to 1e10'
    end as reason
from events
"""

# Senders may not do so, and some libraries let them: the row counts, and which value is told.
_DOUBLES = f"""
insert or ignore into raw.rejected
with told as (
    select text, from_json(text, '[{{"key":"VARCHAR","value":"JSON"}}]') as pairs from new_texts
    union
    select
        cast(to_json(l.attributes) as varchar),
        list_transform(
            l.attributes, lambda a: struct_pack("key" := a.key, "value" := to_json(a.value)))
    from new_records
    where list_unique(list_transform(l.attributes, lambda a: coalesce(a.key, '')))
        < len(l.attributes)
), keyed as (
    select
        text,
        list_transform(pairs, lambda p: coalesce(p.key, '')) as keys,
        list_transform(
            pairs, lambda p: concat_ws('=', coalesce(p.key, ''), cast(p.value as varchar))
        ) as told
    from told
)
select
    ?, 'attributes of one name with two values: the row is kept, with the first of them',
    left(concat_ws(' ', array_to_string(list_filter(
        told, lambda t, i: len(list_filter(keys, lambda k: k = keys[i])) > 1
    ), ' and '), 'in', text), {EXCERPT}), {NOW}
from keyed
where list_unique(told) > list_unique(keys)
"""

_COUNTER_COLUMNS = (
    "series_key, metric_name, developer_id, session_id, agent_type, model_name, attributes, "
    "resource_attributes"
)
_POINT_COLUMNS = (
    '"timestamp", metric_value, observations, start_timestamp, temporality, is_monotonic, unit, '
    "series_key, point_key"
)
_LOG_COLUMNS = (
    "developer_id, severity, body, attributes, event_name, session_id, agent_type, model_name, "
    "resource_attributes, log_key"
)


def read_lines(paths: Sequence[Path], longest: int, **columns: str) -> str:
    """The table function that reads these files of lines, gzip by the name's ending."""
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    shape = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    return (
        f"read_json([{listed}], format = 'newline_delimited', columns = {{{shape}}}, "
        f"maximum_object_size = {longest})"
    )


def load_lines(
    connection: duckdb.DuckDBPyConnection,
    paths: list[Path],
    source: str,
    longest: int = ORDINARY_LINE_BYTES,
) -> LoadCounts:
    """Load files of OTLP lines into ``raw``, leaving out points and events that are there already.

    The caller has begun a transaction. Points and events that make no sense go to ``raw.rejected``.

    Args:
        longest: bytes that a line may have.

    Raises:
        UnreadableTelemetryError, duckdb.Error: a line that is not OTLP, or is longer.
    """
    connection.execute(MACROS)
    metrics = read_lines(paths, longest, resourceMetrics=_METRICS)
    logs = read_lines(paths, longest, resourceMetrics=_ANY, resourceLogs=_LOGS)
    connection.execute(_COUNTERS.format(lines=metrics))
    connection.execute(_RECORD_ROWS.format(lines=logs))
    connection.execute(_TEXTS)
    _check_texts(connection, source)
    connection.execute(_SERIES)
    connection.execute("drop table new_counters")
    connection.execute(_METRIC_ROWS)
    told = _tell_of_doubles(connection, source)
    connection.execute(_LOG_ROWS)
    connection.execute("drop table new_records; drop table new_texts")
    rejected = _reject(connection, source)
    counts = _insert_metrics(connection) + _insert_logs(connection)
    connection.execute("drop table new_metrics; drop table new_series; drop table new_logs")
    return counts + LoadCounts(rejected=rejected + told)


def _check_texts(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    bad = connection.execute("select text from new_texts where not is_otlp limit 1").fetchone()
    if bad:
        raise UnreadableTelemetryError(
            f"Reading {source}",
            f"attributes that are not a list of key and value: {bad[0][:EXCERPT]}",
            "Check what wrote it",
        )


def _tell_of_doubles(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    rows = connection.execute(_DOUBLES, [source]).fetchall()
    return int(rows[0][0])


def _reject(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    aside = (
        "select reason, left(concat_ws(' ', 'from', developer_id, 'in', "
        f"session_id, 'at', timestamp, metric_name, metric_value, attributes), {EXCERPT}) "
        "as excerpt "
        "from new_metrics inner join new_series using (series_row) "
        "where reason is not null union all "
        "select reason, left(concat_ws(' ', 'from', developer_id, 'in', "
        f"session_id, 'at', timestamp, event_name, attributes), {EXCERPT}) "
        "from new_logs where reason is not null"
    )
    rows = connection.execute(
        "insert or ignore into raw.rejected "
        f"select ?, reason, coalesce(excerpt, ''), {NOW} from ({aside}) "
        "group by reason, excerpt",
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
