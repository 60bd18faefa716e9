with feedback as (

    select * from {{ ref('mart_suggestions_feedback_daily') }}
    where created_date <= {{ first_unfinished_day() }}

),

anomalies as (

    select * from {{ ref('mart_suggestions_anomalies') }}

),

daily as (

    select
        created_date,
        {{ whole('sum(events)') }} as events,
        {{ whole('sum(accepts)') }} as accepts,
        {{ whole('sum(rejects)') }} as rejects,
        {{ whole('sum(undos)') }} as undos,
        {{ whole('sum(accepts) + sum(rejects)') }} as verdicts
    from feedback
    group by created_date

),

final as (

    select
        daily.created_date,
        daily.events,
        daily.accepts,
        daily.rejects,
        daily.undos,
        {{ real(shared.safe_divide('daily.accepts', 'daily.verdicts')) }} as accept_rate,
        {{ real(wilson_bound('daily.accepts', 'daily.verdicts', '-')) }} as wilson_low,
        {{ real(wilson_bound('daily.accepts', 'daily.verdicts', '+')) }} as wilson_high,
        volume.expected as expected_events,
        case
            when volume.window_sigmas is not null then volume.is_anomaly
        end as is_events_anomaly,
        rates.expected as expected_accept_rate,
        case
            when rates.window_sigmas is not null then rates.is_anomaly
        end as is_accept_rate_anomaly
    from daily
    left join anomalies as volume
        on daily.created_date = volume.created_date and volume.metric = 'events'
    left join anomalies as rates
        on daily.created_date = rates.created_date and rates.metric = 'accept_rate'
    where daily.created_date > (select max(newest.created_date) from daily as newest) - 90

)

select * from final
