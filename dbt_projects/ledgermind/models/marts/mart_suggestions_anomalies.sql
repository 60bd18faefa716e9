{%- set weeks = var('anomaly_weeks', 8) -%}
{%- set days = var('anomaly_days', 28) -%}
{{
    config(
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
    )
}}

with daily as (

    select
        created_date,
        sum(events) as events,
        sum(accepts) as accepts,
        sum(accepts) + sum(rejects) as verdicts
    from {{ ref('int_suggestions_daily') }}
    group by created_date

),

days as (

    select spine.date_day as created_date
    from
        {{ shared.date_spine(
            '(select min(created_date) from daily)', '(select max(created_date) from daily)'
        ) }} as spine

),

-- A day on which nothing came through is a day with 0 events, not a missing one.
complete as (

    select
        days.created_date,
        mod({{ shared.days_between("cast('2024-01-01' as date)", 'days.created_date') }}, 7)
            as weekday,
        {{ real('coalesce(daily.events, 0)') }} as events,
        {{ real('coalesce(daily.accepts, 0)') }} as accepts,
        {{ real('coalesce(daily.verdicts, 0)') }} as verdicts
    from days
    left join daily on days.created_date = daily.created_date

),

baselines as (

    select
        *,
        count(*) over same_weekday as weeks_before,
        avg(events) over same_weekday as mean_events,
        stddev_samp(events) over same_weekday as deviation_of_events,
        sum(accepts) over days_before as accepts_before,
        sum(verdicts) over days_before as verdicts_before
    from complete
    window
        same_weekday as (
            partition by weekday
            order by created_date
            rows between {{ weeks }} preceding and 1 preceding
        ),
        days_before as (
            order by created_date
            rows between {{ days }} preceding and 1 preceding
        )

),

volume as (

    select
        created_date,
        'events' as metric,
        events as observed,
        case when weeks_before >= 4 then mean_events end as expected,
        -- No narrower than what chance alone gives a count of this size.
        case
            when weeks_before >= 4
                then sqrt(
                        greatest(deviation_of_events * deviation_of_events, mean_events, 1)
                    )
        end as deviation
    from baselines

),

smoothed_rates as (

    select
        created_date,
        accepts,
        verdicts,
        accepts_before,
        verdicts_before,
        (accepts_before + 0.5) / (verdicts_before + 1) as smooth_rate
    from baselines
    where verdicts > 0 and verdicts_before >= {{ var('minimum_verdicts', 100) }}

),

accept_rate as (

    select
        created_date,
        'accept_rate' as metric,
        accepts / verdicts as observed,
        accepts_before / verdicts_before as expected,
        sqrt(smooth_rate * (1 - smooth_rate) * (1 / verdicts + 1 / verdicts_before)) as deviation
    from smoothed_rates

),

both_metrics as (

    select * from volume
    union all
    select * from accept_rate

),

final as (

    select
        created_date,
        metric,
        {{ real('observed') }} as observed,
        {{ real('expected') }} as expected,
        {{ real('deviation') }} as deviation,
        {{ real('(observed - expected) / deviation') }} as sigmas,
        coalesce(
            abs(observed - expected) > {{ var('anomaly_sigmas', 3) }} * deviation, false
        ) as is_anomaly
    from both_metrics

)

select * from final
