with points as (

    select
        series_key,
        count(*) as observations,
        min(timestamp) as first_seen_at,
        max(timestamp) as last_seen_at
    from {{ source('raw', 'otel_points') }}
    group by series_key

),

events as (

    select
        *,
        {{ event_signal('event_name') }} as signal_name
    from {{ source('raw', 'otel_logs') }}

),

sightings as (

    select
        counters.developer_id,
        counters.agent_type,
        'metric' as signal,
        counters.metric_name as name,
        {{ metric_signal('counters.metric_name') }} as signal_name,
        regexp_matches(counters.metric_name, 'token|cost') as is_about_usage,
        points.observations,
        points.first_seen_at,
        points.last_seen_at
    from points
    inner join {{ source('raw', 'otel_counters') }} as counters
        on points.series_key = counters.series_key

    union all

    select
        developer_id,
        agent_type,
        'event' as signal,
        coalesce(event_name, 'unknown') as name,
        signal_name,
        signal_name is null
        and contains(attributes, 'token')
        and regexp_matches(attributes, '[{,]"[a-z_.]*(_tokens|token_count)":')
            as is_about_usage,
        1 as observations,
        timestamp as first_seen_at,
        timestamp as last_seen_at
    from events

),

counted as (

    select distinct
        signal,
        name
    from {{ ref('agent_signals') }}
    where kind <> 'none'

),

summed as (

    select
        coalesce(names.developer_id, sightings.developer_id) as developer_id,
        sightings.agent_type,
        sightings.signal,
        sightings.name,
        case
            when bool_or(counted.name is not null) then 'counted'
            when bool_or(sightings.signal_name is not null) then 'told elsewhere'
            when bool_or(sightings.is_about_usage) then 'unknown'
            else 'no usage'
        end as treatment,
        cast(sum(sightings.observations) as bigint) as observations,
        min(sightings.first_seen_at) as first_seen_at,
        max(sightings.last_seen_at) as last_seen_at
    from sightings
    left join {{ ref('int_developer_names') }} as names
        on lower(trim(sightings.developer_id)) = names.name
    left join counted
        on sightings.signal = counted.signal and sightings.signal_name = counted.name
    group by
        coalesce(names.developer_id, sightings.developer_id),
        sightings.agent_type,
        sightings.signal,
        sightings.name

),

final as (

    select
        *,
        max(last_seen_at) over (partition by developer_id, agent_type, signal)
            as signal_last_seen_at,
        signal_last_seen_at < max(last_seen_at) over () - to_days({{ var('silent_days') }})
            as is_silent
    from summed

)

select * from final
