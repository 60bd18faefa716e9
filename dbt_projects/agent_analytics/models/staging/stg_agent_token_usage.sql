{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

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

sessions_with_requests as (

    select distinct session_id from distinct_requests

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
    where session_id not in (select seen.session_id from sessions_with_requests as seen)

),

summed as (

    select
        session_id,
        cast(used_at as date) as usage_date,
        agent_type,
        model_name,
        usage_source,
        cast(sum(requests) as bigint) as total_requests,
        cast(sum(input_tokens) as bigint) as total_input_tokens,
        cast(sum(output_tokens) as bigint) as total_output_tokens,
        cast(sum(cache_creation_tokens) as bigint) as total_cache_creation_tokens,
        cast(sum(cache_read_tokens) as bigint) as total_cache_read_tokens,
        cast(
            sum(input_tokens) + sum(output_tokens) + sum(cache_creation_tokens) as bigint
        ) as total_tokens,
        sum(cast(reported_cost_usd as decimal(28, 10))) as reported_cost_usd,
        min(used_at) as first_used_at,
        max(used_at) as last_used_at
    from usage
    group by session_id, cast(used_at as date), agent_type, model_name, usage_source

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
