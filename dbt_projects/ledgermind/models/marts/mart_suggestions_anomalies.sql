{{
    config(
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
    )
}}

with measured as (

    select * from {{ ref('int_watched_days') }}

),

departures as (

    select * from {{ ref('int_watched_departures') }}

),

compared as (

    select
        measured.created_date,
        measured.metric,
        measured.scale,
        measured.observed,
        departures.score,
        departures.bound,
        departures.uncertainty,
        departures.window_periods,
        departures.window_score,
        case
            when departures.expected is null then null
            when measured.scale = 'share'
                then sin(departures.expected / 2) * sin(departures.expected / 2)
            else greatest(departures.expected * departures.expected / 4 - 0.125, 0)
        end as expected,
        coalesce(abs(departures.window_score) > departures.window_bound, false) as is_anomaly,
        coalesce(abs(departures.score) > departures.bound, false) as is_day_itself
    from measured
    left join departures
        on
            measured.metric = departures.metric
            and measured.period = departures.period
            and (
                measured.scale = 'count'
                or departures.baseline_weight >= {{ var('minimum_verdicts') }}
            )
    where measured.observed is not null

),

begun as (

    select
        *,
        max(case when is_anomaly then created_date end) over days_before as anomaly_before,
        max(case when not is_anomaly then created_date end) over days_before as normal_before,
        min(created_date) over (partition by metric) as first_date,
        lag(is_anomaly) over (partition by metric order by created_date) as was_anomaly,
        lag(observed) over (partition by metric order by created_date) as observed_before,
        lag(expected) over (partition by metric order by created_date) as expected_before,
        min(score) over week_before as lowest_before,
        max(score) over week_before as highest_before
    from compared
    window
        days_before as (
            partition by metric
            order by created_date
            rows between unbounded preceding and 1 preceding
        ),
        week_before as (
            partition by metric
            order by created_date
            rows between 7 preceding and 1 preceding
        )

),

lasting as (

    select
        *,
        case
            when not is_anomaly and not coalesce(was_anomaly, false) then 0
            when normal_before is null
                then {{ shared.days_between('first_date', 'created_date') }}
            else {{ shared.days_between('normal_before', 'created_date') }} - 1
        end
        + case when is_anomaly then 1 else 0 end as departed_days
    from begun

),

final as (

    select
        created_date,
        metric,
        {{ real('observed') }} as observed,
        {{ real('expected') }} as expected,
        {{ real(
            "uncertainty * sqrt(case when scale = 'share' then expected * (1 - expected)"
            ~ " else greatest(expected, 1) end)"
        ) }} as deviation,
        {{ real('score') }} as sigmas,
        is_anomaly,
        {{ whole('window_periods') }} as window_days,
        {{ real('window_score') }} as window_sigmas,
        is_anomaly and (
            anomaly_before is null
            or {{ shared.days_between('anomaly_before', 'created_date') }} > 3
            or (
                is_day_itself
                and departed_days <= 8
                and abs(observed_before - expected_before) * expected
                < abs(observed - expected) * expected_before / 2
            )
            or score < lowest_before - 1.5 * bound
            or score > highest_before + 1.5 * bound
        ) as is_new,
        case when is_anomaly then '{{ var("anomaly_owner") }}' end as owner,
        {{ whole('departed_days') }} as departed_days
    from lasting

)

select * from final
