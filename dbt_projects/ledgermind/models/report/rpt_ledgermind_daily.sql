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

newest as (

    select max(created_date) as last_date from daily

),

-- A day on which nothing came through is a day with 0 suggestions, not a missing one.
days as (

    select created_date from daily

    union distinct

    select anomalies.created_date
    from anomalies
    inner join newest on anomalies.created_date <= newest.last_date + 90

),

final as (

    select
        days.created_date,
        days.created_date < {{ first_unfinished_day() }} as is_complete_day,
        coalesce(daily.events, 0) as events,
        coalesce(daily.accepts, 0) as accepts,
        coalesce(daily.rejects, 0) as rejects,
        coalesce(daily.undos, 0) as undos,
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
    from days
    inner join newest on days.created_date > newest.last_date - 90
    left join daily on days.created_date = daily.created_date
    left join anomalies as volume
        on days.created_date = volume.created_date and volume.metric = 'events'
    left join anomalies as rates
        on days.created_date = rates.created_date and rates.metric = 'accept_rate'

)

select * from final
