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
    where created_date < {{ first_unfinished_day() }}
    group by created_date

),

bounds as (

    select
        greatest(
            min(created_date),
            {{ shared.add_days(first_unfinished_day(), '-' ~ var('anomaly_history_days')) }}
        ) as first_date
    from daily

),

-- A day on which nothing came through is a day with 0 events, not a missing one: to yesterday.
days as (

    select spine.date_day as created_date
    from
        {{ shared.date_spine(
            '(select first_date from bounds)', shared.add_days(first_unfinished_day(), -1)
        ) }} as spine

),

complete as (

    select
        days.created_date,
        {{ shared.days_between("cast('2024-01-01' as date)", 'days.created_date') }} as period,
        {{ real('coalesce(daily.events, 0)') }} as events,
        {{ real('coalesce(daily.accepts, 0)') }} as accepts,
        {{ real('coalesce(daily.verdicts, 0)') }} as verdicts
    from days
    left join daily on days.created_date = daily.created_date

),

-- Scales on which chance alone gives every day the same variance, divided by its weight.
measured as (

    select
        'events' as series,
        period,
        created_date,
        events as observed,
        2 * sqrt(events + 0.375) as value,
        {{ real('1') }} as weight
    from complete

    union all

    select
        'accept_rate' as series,
        period,
        created_date,
        accepts / nullif(verdicts, 0) as observed,
        2 * asin(sqrt((accepts + 0.375) / (verdicts + 0.75))) as value,
        case when verdicts > 0 then verdicts + 0.5 else 0 end as weight
    from complete

),

departures as (

    select *
    from
        {{ shared.departures(
            'measured',
            baseline=7 * var('anomaly_weeks'),
            minimum=28,
            season=7,
            lag=21,
            windows=[1, 2, 3, 7],
            sigmas=var('anomaly_sigmas'),
        ) }} as found

),

compared as (

    select
        measured.created_date,
        measured.series as metric,
        measured.observed,
        departures.score,
        departures.uncertainty,
        departures.window_periods,
        departures.window_score,
        case
            when departures.expected is null then null
            when measured.series = 'events'
                then greatest(departures.expected * departures.expected / 4 - 0.125, 0)
            else sin(departures.expected / 2) * sin(departures.expected / 2)
        end as expected,
        coalesce(abs(departures.window_score) > departures.window_bound, false) as is_anomaly
    from measured
    left join departures
        on
            measured.series = departures.series
            and measured.period = departures.period
            and (
                measured.series = 'events'
                or departures.baseline_weight >= {{ var('minimum_verdicts') }}
            )
    where measured.observed is not null

),

begun as (

    select
        *,
        sum(case when is_anomaly then 1 else 0 end) over (
            partition by metric
            order by {{ shared.days_between("cast('2024-01-01' as date)", 'created_date') }}
            range between 3 preceding and 1 preceding
        ) as anomalies_before
    from compared

),

final as (

    select
        created_date,
        metric,
        {{ real('observed') }} as observed,
        {{ real('expected') }} as expected,
        {{ real(
            "uncertainty * sqrt(case when metric = 'events' then greatest(expected, 1)"
            ~ " else expected * (1 - expected) end)"
        ) }} as deviation,
        {{ real('score') }} as sigmas,
        is_anomaly,
        {{ whole('window_periods') }} as window_days,
        {{ real('window_score') }} as window_sigmas,
        is_anomaly and coalesce(anomalies_before, 0) = 0 as is_new,
        case when is_anomaly then '{{ var("anomaly_owner") }}' end as owner
    from begun

)

select * from final
