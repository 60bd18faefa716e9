{{
    config(
        materialized='incremental',
        unique_key='session_id',
    )
}}

{%- set new = new_telemetry(this) %}

with

{%- if is_incremental() %}

touched as (

    select session_id
    from {{ source('raw', 'otel_counters') }}
    where
        series_key in (
            select points.series_key
            from {{ source('raw', 'otel_points') }} as points
            where points.id > {{ new.after_metric_id }}
        )
    union
    select session_id
    from {{ source('raw', 'otel_logs') }}
    where id > {{ new.after_log_id }}

),

{%- endif %}

observations as (

    select
        session_id,
        developer_id,
        agent_type,
        model_name,
        timestamp as observed_at,
        false as is_end,
        id as metric_id,
        0 as log_id
    from {{ metric_points(new.since) }} as metrics

    union all

    select
        session_id,
        developer_id,
        agent_type,
        model_name,
        timestamp as observed_at,
        contains(coalesce(event_name, ''), 'session_end') as is_end,
        0 as metric_id,
        id as log_id
    from {{ source('raw', 'otel_logs') }}
    {% if is_incremental() %}
    where
        session_id in (select touched.session_id from touched)
        and {{ not_before(new.since, 'timestamp') }}
    {% endif %}

),

-- Minutes are few where points are many, and blocks need no finer order.
by_minute as (

    select
        session_id,
        date_trunc('minute', observed_at) as observed_minute,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        arg_min(developer_id, row(observed_at, developer_id)) filter (
            where developer_id <> 'unknown'
        ) as developer_id,
        arg_min(agent_type, row(observed_at, agent_type)) as agent_type,
        arg_min(model_name, row(observed_at, model_name)) as model_name,
        bool_or(is_end) as has_end,
        count(*) as observations,
        max(metric_id) as last_metric_id,
        max(log_id) as last_log_id
    from observations
    group by session_id, observed_minute

),

marked as (

    select
        *,
        first_observed_at - lag(last_observed_at) over (
            partition by session_id order by observed_minute
        ) > to_minutes({{ var('idle_minutes') }}) as is_after_silence
    from by_minute

),

numbered as (

    select
        *,
        count(*) filter (where is_after_silence) over (
            partition by session_id order by observed_minute
        ) as block_number
    from marked

),

blocks as (

    select
        session_id,
        block_number,
        min(first_observed_at) as started_at,
        max(last_observed_at) as ended_at,
        arg_min(developer_id, observed_minute) as developer_id,
        arg_min(agent_type, observed_minute) as agent_type,
        arg_min(model_name, observed_minute) as model_name,
        bool_or(has_end) as has_end,
        sum(observations) as observations,
        max(last_metric_id) as last_metric_id,
        max(last_log_id) as last_log_id
    from numbered
    group by session_id, block_number

),

sessions as (

    select
        session_id,
        not starts_with(session_id, 'no-session:') as is_session_known,
        coalesce(arg_min(developer_id, block_number), 'unknown') as developer_id,
        arg_min(agent_type, block_number) as agent_type,
        coalesce(arg_min(model_name, block_number), 'unknown') as model_name,
        min(started_at) as session_start,
        max(ended_at) as session_end,
        case when bool_or(has_end) then 'reported' else 'inferred' end as ended_reason,
        count(*) as block_count,
        sum({{ seconds_between('started_at', 'ended_at') }}) as active_seconds,
        list(
            struct_pack(started_at := started_at, ended_at := ended_at) order by started_at
        ) as blocks,
        cast(sum(observations) as bigint) as observations,
        max(last_metric_id) as last_metric_id,
        max(last_log_id) as last_log_id
    from blocks
    group by session_id

),

final as (

    select
        session_id,
        is_session_known,
        developer_id,
        agent_type,
        model_name,
        session_start,
        session_end,
        case when is_session_known then {{ seconds_between('session_start', 'session_end') }} end
            as duration_seconds,
        case when is_session_known then active_seconds end as active_seconds,
        ended_reason,
        block_count,
        blocks,
        observations,
        last_metric_id,
        last_log_id,
        hash(observations, last_metric_id, last_log_id, {{ var('idle_minutes') }}) as input_hash
    from sessions

)

select * from final
{%- if is_incremental() %}
union all by name
select replaced.session_id
from {{ 'touched' if new.since else this }} as replaced
{%- endif %}
