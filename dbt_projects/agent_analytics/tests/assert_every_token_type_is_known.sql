{{ config(severity='warn') }}

with points as (

    select
        metric_name,
        {{ metric_signal('metric_name') }} as signal_name,
        {{ token_type('metric_name', 'attributes') }} as token_type
    from {{ source('raw', 'otel_metrics') }}
    where signal_name is not null

)

select
    points.metric_name,
    points.token_type,
    count(*) as points
from points
left join {{ ref('agent_signals') }} as signals
    on
        signals.signal = 'metric'
        and points.signal_name = signals.name
        and (signals.token_type = 'any' or points.token_type = signals.token_type)
where signals.name is null
group by all
