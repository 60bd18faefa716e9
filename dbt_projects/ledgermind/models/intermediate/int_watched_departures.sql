{{ config(materialized='table', pre_hook="{{ shared.plan_for_departures() }}") }}

with watched as (

    select
        *,
        {{ series_of_levels('metric', 'created_date') }} as series
    from {{ ref('int_watched_days') }}

),

departures as (

    select *
    from
        {{ shared.departures(
            'watched',
            baseline=7 * var('anomaly_weeks'),
            minimum=28,
            season=7,
            lag=21,
            windows=[1, 2, 3, 7],
            sigmas=var('anomaly_sigmas'),
            lasting=var('anomaly_history_days'),
            floor='1 + 0.0001 * level * level',
        ) }} as found

),

final as (

    select
        {{ shared.split_part('series', '|', 1) }} as metric,
        period,
        expected,
        uncertainty,
        score,
        bound,
        baseline_weight,
        window_periods,
        window_score,
        window_bound,
        lasting_since
    from departures

)

select * from final
