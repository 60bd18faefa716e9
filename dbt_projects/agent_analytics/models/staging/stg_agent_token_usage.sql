{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

{%- set kinds = [
    'input_tokens', 'output_tokens', 'cache_creation_tokens', 'cache_read_tokens',
    'reported_cost_usd',
] -%}
{%- set since = unread_since(ref('stg_agent_sessions')) %}

with inputs as (

    select * from {{ ref('stg_agent_sessions') }}

),

touched as (

    {{ touched('session_id') }} {{ 'and ' ~ is_usage_unread() if is_incremental() }}

),

points as (

    select
        id,
        session_id,
        agent_type,
        coalesce(model_name, 'unknown') as model_name,
        timestamp as used_at,
        start_timestamp,
        temporality,
        series_key,
        metric_value,
        ends_with(metric_name, '.cost.usage') as is_cost,
        case
            when contains(metric_name, '.tokens.')
                then {{ token_type("regexp_extract(metric_name, '[^.]+$')") }}
            when ends_with(metric_name, '.token.usage')
                then {{ token_type("attributes ->> '$.type'") }}
        end as token_type
    from {{ metric_points(since) }} as metrics
    where
        ends_with(metric_name, '.token.usage')
        or ends_with(metric_name, '.cost.usage')
        or contains(metric_name, '.tokens.')

),

-- A cumulative counter says how much since its start: what counts is the growth. A new start, or a
-- value smaller than the one before, is a counter that began again from zero.
cumulative_points as (

    select
        *,
        lag(metric_value) over (
            partition by series_key, start_timestamp order by used_at, metric_value, id
        ) as value_before
    from points
    where temporality = 'cumulative'

),

metric_increments as (

    select
        id,
        session_id,
        agent_type,
        model_name,
        used_at,
        is_cost,
        token_type,
        metric_value as increment
    from points
    where temporality = 'delta'

    union all

    select
        id,
        session_id,
        agent_type,
        model_name,
        used_at,
        is_cost,
        token_type,
        case
            when value_before is null or metric_value < value_before then metric_value
            else metric_value - value_before
        end as increment
    from cumulative_points

),

requests as (

    select
        id,
        session_id,
        agent_type,
        coalesce(model_name, 'unknown') as model_name,
        timestamp as used_at,
        attributes ->> [
            '$.input_tokens', '$.output_tokens', '$.cache_read_tokens',
            '$.cache_creation_tokens', '$.cost_usd', '$.request_id', '$."event.sequence"'
        ] as named_values,
        log_key
    from {{ source('raw', 'otel_logs') }}
    where
        ends_with(event_name, 'api_request')
        {% if is_incremental() %}
        and session_id in (select touched.session_id from touched)
        and {{ not_before(since, 'timestamp') }}
        {% endif %}

),

-- The same request told twice, by another export or another collector, counts once. What tells of
-- no tokens is left out last: before, DuckDB would read it out of the events of all sessions.
distinct_requests as (

    select
        *,
        coalesce(named_values[1], named_values[2], named_values[3], named_values[4]) is not null
            as has_tokens
    from requests
    qualify
        has_tokens
        and row_number() over (
            partition by
                session_id,
                coalesce(
                    'request ' || nullif(trim(named_values[6]), ''),
                    'sequence ' || named_values[7] || ' ' || used_at,
                    'event ' || log_key
                )
            order by has_tokens desc, used_at asc, id asc
        ) = 1

),

usage as (

    select
        session_id,
        agent_type,
        model_name,
        used_at,
        'events' as usage_source,
        1 as requests,
        coalesce(try_cast(named_values[1] as double), 0) as input_tokens,
        coalesce(try_cast(named_values[2] as double), 0) as output_tokens,
        coalesce(try_cast(named_values[4] as double), 0) as cache_creation_tokens,
        coalesce(try_cast(named_values[3] as double), 0) as cache_read_tokens,
        try_cast(named_values[5] as double) as reported_cost_usd
    from distinct_requests

    union all

    select
        session_id,
        agent_type,
        model_name,
        used_at,
        'metrics' as usage_source,
        null as requests,
        case when token_type = 'input' then increment else 0 end as input_tokens,
        case when token_type = 'output' then increment else 0 end as output_tokens,
        case when token_type = 'cache_creation' then increment else 0 end
            as cache_creation_tokens,
        case when token_type = 'cache_read' then increment else 0 end as cache_read_tokens,
        case when is_cost then increment end as reported_cost_usd
    from metric_increments

),

-- A counter tells an hour's usage up to an hour later than the event does.
hours as (

    select
        session_id,
        agent_type,
        model_name,
        date_trunc('hour', used_at) as usage_hour,
        sum(requests) as requests,
        {%- for kind in kinds %}
        sum(cast({{ kind }} as decimal(28, 10))) filter (where usage_source = 'events')
            as {{ kind }}_by_events,
        sum(cast({{ kind }} as decimal(28, 10))) filter (where usage_source = 'metrics')
            as {{ kind }}_by_metrics,
        {%- endfor %}
        min(used_at) as first_used_at,
        max(used_at) as last_used_at
    from usage
    group by session_id, agent_type, model_name, date_trunc('hour', used_at)

),

after_hours as (

    select
        *,
        usage_hour - lag(usage_hour) over (
            partition by session_id, agent_type, model_name order by usage_hour
        ) > interval 1 hour as is_after_silence
    from hours

),

runs as (

    select
        *,
        count(*) filter (where is_after_silence) over (
            partition by session_id, agent_type, model_name order by usage_hour
        ) as run_number
    from after_hours

),

-- By how much the counters have been ahead of the events at most, since the last silent hour: so
-- much was told by counters alone.
ahead as (  -- noqa: disable=LT02

    select
        *,
        {%- for kind in kinds %}
        sum(coalesce({{ kind }}_by_metrics, 0) - coalesce({{ kind }}_by_events, 0)) over (
            partition by session_id, agent_type, model_name, run_number order by usage_hour
        ) as {{ kind }}_ahead{{ ',' if not loop.last }}
        {%- endfor %}
    from runs

),

most_ahead as (

    select
        *,
        {%- for kind in kinds %}
        greatest(
            max({{ kind }}_ahead) over (
                partition by session_id, agent_type, model_name, run_number order by usage_hour
            ),
            0
        ) as {{ kind }}_most_ahead{{ ',' if not loop.last }}
        {%- endfor %}
    from ahead

),

reconciled as (

    select
        *,
        {%- for kind in kinds %}
        {{ kind }}_most_ahead - coalesce(
            lag({{ kind }}_most_ahead) over (
                partition by session_id, agent_type, model_name, run_number order by usage_hour
            ),
            0
        ) as {{ kind }}_by_metrics_alone{{ ',' if not loop.last }}
        {%- endfor %}
    from most_ahead

),

days as (

    select
        told.session_id,
        cast(told.usage_hour as date) as usage_date,
        told.agent_type,
        told.model_name,
        cast(sum(told.requests) as bigint) as total_requests,
        {%- for kind in kinds[:4] %}
        cast(
            sum(
                coalesce(told.{{ kind }}_by_events, 0) + told.{{ kind }}_by_metrics_alone
            ) as bigint
        ) as total_{{ kind }},
        {%- endfor %}
        case
            when
                count(told.reported_cost_usd_by_events)
                + count(told.reported_cost_usd_by_metrics) > 0
                then sum(
                    coalesce(told.reported_cost_usd_by_events, 0)
                    + told.reported_cost_usd_by_metrics_alone
                )
        end as reported_cost_usd,
        {%- for kind in kinds %}
        sum(coalesce(told.{{ kind }}_by_events, 0)) as {{ kind }}_by_events,
        sum(coalesce(told.{{ kind }}_by_metrics, 0)) as {{ kind }}_by_metrics,
        {%- endfor %}
        cast(
            sum(
                {%- for kind in kinds[:4] %}
                coalesce(told.{{ kind }}_by_events, 0){{ ' +' if not loop.last }}
                {%- endfor %}
            ) as bigint
        ) as tokens_by_events,
        cast(
            sum(
                {%- for kind in kinds[:4] %}
                coalesce(told.{{ kind }}_by_metrics, 0){{ ' +' if not loop.last }}
                {%- endfor %}
            ) as bigint
        ) as tokens_by_metrics,
        cast(
            sum(
                {%- for kind in kinds[:4] %}
                told.{{ kind }}_by_metrics_alone{{ ' +' if not loop.last }}
                {%- endfor %}
            ) as bigint
        ) as tokens_by_metrics_alone,
        min(told.first_used_at) as first_used_at,
        max(told.last_used_at) as last_used_at
    from reconciled as told
    group by told.session_id, cast(told.usage_hour as date), told.agent_type, told.model_name

),

summed as (

    select
        *,
        total_input_tokens + total_output_tokens + total_cache_creation_tokens as total_tokens,
        case
            when total_requests is null then 'metrics'
            when tokens_by_metrics_alone > 0 then 'events and metrics'
            else 'events'
        end as usage_source
    from days

),

final as (

    select
        summed.*,
        -- Up to where this build has read, the same in every row of it.
        (select max(read.last_metric_id) from inputs as read) as last_metric_id,
        (select max(read.last_log_id) from inputs as read) as last_log_id,
        touched.input_hash
    from summed
    inner join touched on summed.session_id = touched.session_id

)

select * from final
{{ and_replaced('session_id') }}
