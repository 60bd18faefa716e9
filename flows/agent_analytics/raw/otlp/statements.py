"""Lines into rows, statement by statement: counters, their texts, series, points and events.

Points of one counter repeat its attributes. They stay text until it is known which are different,
so that reading attributes, naming a developer and hashing cost once per counter and batch.
"""

# ruff: noqa: S608  only constants of this package enter the SQL
from flows.agent_analytics.raw.agents import USAGE_ATTRIBUTES, USAGE_METRIC
from flows.agent_analytics.raw.otlp.shapes import ATTRIBUTES_IN_TEXT

EXCERPT = 1000
NOW = "cast(now() at time zone 'UTC' as timestamp)"
# What no request and no counter of a session reaches; sums of a hundred million still fit.
LARGEST_REQUEST = 1e10
LARGEST_COUNTER = 1e11
# No agent sent telemetry before; a clock may be a day fast.
EARLIEST = "timestamp '2020-01-01'"
LATEST = f"{NOW} + interval 1 day"

# One row per counter of these lines, with its points in a list.
COUNTERS = """
create or replace temp table new_counters as
with resources as (
    select unnest(resourceMetrics) as r from {lines}
), scopes as (
    select
        coalesce(r.resource.attributes, '[]') as resource_text,
        unnest(otlp_some(r.scopeMetrics)) as s
    from resources
), metrics as (
    select
        resource_text,
        concat_ws(
            chr(30), coalesce(s.scope.name, ''), coalesce(s.scope.version, '')
        ) as scope,
        unnest(otlp_some(s.metrics)) as m
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
        unnest(otlp_some(coalesce(
            m.sum.dataPoints, m.gauge.dataPoints, m.histogram.dataPoints,
            m.exponentialHistogram.dataPoints
        ))) as p
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
    p is null and not is_unread as is_empty,
    list(struct_pack(
        "timestamp" := otlp_time(p.timeUnixNano),
        start_timestamp := otlp_time(p.startTimeUnixNano),
        metric_value := case
            when is_histogram then p.sum
            else coalesce(p.asDouble, case
                when not (contains(p.asInt, '_') or contains(p.asInt, ' '))
                    then try_cast(p.asInt as double)
            end)
        end,
        observations := case when is_histogram then try_cast(p.count as bigint) end
    )) as points
from points
where coalesce(p.flags, 0) % 2 = 0
group by all
"""

ATTRIBUTE_TEXTS = """
    select point_text as text from new_counters
    union
    select resource_text from new_counters
    union
    select resource_text from new_records
"""

# Lists and maps in attributes stay text, in which DuckDB does not see a key that is there twice.
NESTED_VALUES = f"""
with texts as ({ATTRIBUTE_TEXTS}), pairs as (
    select unnest(from_json(text, '{ATTRIBUTES_IN_TEXT}')) as a
    from texts
    where regexp_matches(text, 'arrayValue|kvlistValue|bytesValue')
    union all
    select unnest(l.attributes) from new_records
), nested as (
    select
        unnest(['arrayValue', 'kvlistValue', 'bytesValue']) as kind,
        unnest([
            cast(a.value.arrayValue as varchar), cast(a.value.kvlistValue as varchar),
            a.value.bytesValue
        ]) as value
    from pairs
    where coalesce(
        cast(a.value.arrayValue as varchar), cast(a.value.kvlistValue as varchar),
        a.value.bytesValue
    ) is not null
)
select distinct kind, value from nested where value is not null
"""

# ``from_json`` makes NULL of what has another shape, so the shape is looked at apart from it.
TEXTS = f"""
create or replace temp table new_texts as
with texts as ({ATTRIBUTE_TEXTS}), objects as (
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
        otlp_object(from_json(text, '{ATTRIBUTES_IN_TEXT}')) as object
    from texts
)
select text, is_otlp, object, otlp_names(object) as names from objects
"""

SERIES = """
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
FAR = "a time before 2020 or more than a day after its receipt (the clock of the sender)"
METRIC_ROWS = rf"""
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
        when "timestamp" < {EARLIEST} or "timestamp" > {LATEST} then '{FAR}'
        when is_usage and not metric_value
            between 0 and if(temporality = 'delta', {LARGEST_REQUEST}, {LARGEST_COUNTER})
            then 'a count or cost below zero or larger than any session reaches'
        when is_usage and not contains(metric_name, 'cost') and metric_value <> floor(metric_value)
            then 'a count of tokens that is no whole number'
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

RECORD_ROWS = """
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
        unnest(otlp_some(r.scopeLogs)) as s
    from resources
)
select
    is_neither, resource_text,
    unnest(otlp_some(s.logRecords)) as l
from scopes
"""

# What holds no points or records may hold them by names that are not of OTLP.
EMPTY = """
select count(*) from new_counters where is_empty
union all
select count(*) from new_records where l is null and not is_neither
"""
FORGET_EMPTY = """
delete from new_counters where is_empty;
delete from new_records where l is null and not is_neither
"""

LOG_ROWS = rf"""
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
        when "timestamp" < {EARLIEST} or "timestamp" > {LATEST} then '{FAR}'
        when not coalesce(list_bool_and(list_transform(
            attributes ->> {USAGE_ATTRIBUTES},
            lambda n: nullif(trim(n), '') is null or coalesce(
                otlp_number(n) between 0 and {LARGEST_REQUEST}
                and otlp_number(n) = floor(otlp_number(n)), false)
        )), true) then 'a count of tokens that is no whole number from 0 to 1e10'
        when nullif(trim(attributes ->> '$.cost_usd'), '') is not null and not coalesce(
            otlp_number(attributes ->> '$.cost_usd') between 0 and {LARGEST_REQUEST}, false
        ) then 'a cost that is no number from 0 to 1e10'
    end as reason
from events
"""

# Senders may not do so, and some libraries let them: the row counts, and which value is told.
DOUBLES = f"""
create or replace temp table new_doubles as
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
select left(concat_ws(' ', array_to_string(list_filter(
    told, lambda t, i: len(list_filter(keys, lambda k: k = keys[i])) > 1
), ' and '), 'in', text), {EXCERPT}) as excerpt
from keyed
where list_unique(told) > list_unique(keys)
"""

REJECT_DOUBLES = f"""
insert or ignore into raw.rejected
select
    ?, 'attributes of one name with two values: the row is kept, with the first of them', excerpt,
    {NOW}
from new_doubles
"""
