with points as (

    select
        series_key,
        count(*) as observations,
        min(timestamp) as first_seen_at,
        max(timestamp) as last_seen_at,
        max(created_at) as received_at
    from {{ source('raw', 'otel_points') }}
    group by series_key

),

-- What of a metric's types, or of an event's attributes, the seed tells of, and whether it counts.
understood as (

    select
        signal,
        name,
        token_type,
        bool_or(kind <> 'none') as is_counted
    from {{ ref('agent_signals') }}
    group by signal, name, token_type

),

event_attributes as (

    select
        name,
        list(token_type) as attributes,
        list(token_type) filter (where is_counted) as counted_attributes
    from understood
    where signal = 'event'
    group by name

),

metrics as (

    select
        points.series_key,
        counters.developer_id,
        counters.agent_type,
        counters.metric_name as name,
        points.observations,
        points.first_seen_at,
        points.last_seen_at,
        points.received_at,
        {{ metric_signal('counters.metric_name') }} as signal_name,
        {{ token_type('counters.metric_name', 'counters.attributes') }} as type_told,
        {{ is_whole_agent("counters.attributes ->> '$.\"gen_ai.operation.name\"'") }}
            as is_whole_agent
    from points
    inner join {{ source('raw', 'otel_counters') }} as counters
        on points.series_key = counters.series_key

),

understood_metrics as (

    select
        metrics.*,
        understood.is_counted
    from metrics
    left join understood
        on
            understood.signal = 'metric'
            and metrics.signal_name = understood.name
            and understood.token_type in ('any', metrics.type_told)
    qualify row_number() over (
            partition by metrics.series_key
            order by understood.is_counted desc nulls last
        ) = 1

),

events as (

    select
        logs.developer_id,
        logs.agent_type,
        coalesce(logs.event_name, 'unknown') as name,
        logs.timestamp as seen_at,
        logs.created_at as received_at,
        {{ event_signal('logs.event_name') }} as signal_name,
        case when contains(logs.attributes, 'token') then json_keys(logs.attributes) else [] end
            as attributes,
        case
            when
                contains(logs.attributes, '"cost_usd"') and not contains(logs.attributes, 'token')
                then coalesce(try_cast(logs.attributes ->> '$.cost_usd' as double) > 0, false)
            else false
        end as is_cost_alone,
        {{ is_whole_agent("logs.attributes ->> '$.\"gen_ai.operation.name\"'") }} as is_whole_agent
    from {{ source('raw', 'otel_logs') }} as logs

),

-- The linter knows no lambdas.
-- noqa: disable=RF02,AL05
understood_events as (

    select
        events.*,
        event_attributes.name is not null
        and (
            events.is_cost_alone
            or list_has_any(events.attributes, event_attributes.attributes)
        ) as is_understood,
        event_attributes.name is not null
        and (
            events.is_cost_alone
            or list_has_any(events.attributes, event_attributes.counted_attributes)
        ) as is_counted,
        list_filter(
            events.attributes,
            lambda attribute: regexp_matches(attribute, '(^|[._])tokens$|token_count$')
            and not regexp_matches(attribute, 'max|limit|budget')
            and not list_contains(coalesce(event_attributes.attributes, []), attribute)
        ) as not_understood
    from events
    left join event_attributes on events.signal_name = event_attributes.name

),

sightings as (

    select
        developer_id,
        agent_type,
        'metric' as signal,
        name,
        coalesce(is_counted and not is_whole_agent, false) as is_counted,
        is_counted is not null or (signal_name is not null and is_whole_agent) as is_understood,
        case
            when is_understood then []
            when signal_name is not null then [type_told]
            when regexp_matches(name, 'token|cost') then ['']
            else []
        end as not_understood,
        observations,
        first_seen_at,
        last_seen_at,
        received_at
    from understood_metrics

    union all

    select
        developer_id,
        agent_type,
        'event' as signal,
        name,
        is_counted and not is_whole_agent as is_counted,
        is_understood,
        not_understood,
        1 as observations,
        seen_at as first_seen_at,
        seen_at as last_seen_at,
        received_at
    from understood_events

),

summed as (

    select
        coalesce(names.developer_id, sightings.developer_id) as developer_id,
        sightings.agent_type,
        sightings.signal,
        sightings.name,
        bool_or(sightings.is_counted) as is_counted,
        bool_or(sightings.is_understood) as is_understood,
        list_sort(list_distinct(flatten(list(sightings.not_understood)))) as not_understood,
        cast(sum(sightings.observations) as bigint) as observations,
        min(sightings.first_seen_at) as first_seen_at,
        max(sightings.last_seen_at) as last_seen_at,
        max(sightings.received_at) as received_at
    from sightings
    left join {{ ref('int_developer_names') }} as names
        on lower(trim(sightings.developer_id)) = names.name
    group by
        coalesce(names.developer_id, sightings.developer_id),
        sightings.agent_type,
        sightings.signal,
        sightings.name

),

-- A total beside its parts is nothing that is missing.
missing as (

    select
        * exclude (not_understood),
        case
            when is_counted
                then list_filter(not_understood, lambda told: not contains(told, 'total'))
            else not_understood
        end as not_understood
    from summed

),

final as (

    select
        developer_id,
        agent_type,
        signal,
        name,
        case
            when is_counted and len(not_understood) > 0 then 'partly counted'
            when is_counted then 'counted'
            when len(not_understood) > 0 then 'unknown'
            when is_understood then 'told elsewhere'
            else 'no usage'
        end as treatment,
        array_to_string(list_filter(not_understood, lambda told: told <> ''), ', ')
            as uncounted_types,
        observations,
        first_seen_at,
        last_seen_at,
        max(last_seen_at) over (partition by developer_id, agent_type, signal)
            as signal_last_seen_at,
        -- Nothing was sent after the newest receipt, whatever the clock of its sender says.
        signal_last_seen_at
        < least(max(last_seen_at) over (), max(received_at) over ())
        - to_days({{ var('silent_days') }}) as is_silent
    from missing

)

select * from final
