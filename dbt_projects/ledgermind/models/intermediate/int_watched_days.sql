{{ config(materialized='table') }}

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
    having count(*) > 0

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

final as (

    select
        created_date,
        'events' as metric,
        'count' as scale,
        period,
        events as observed,
        2 * sqrt(events + 0.375) as value,
        {{ real('1') }} as weight
    from complete

    union all

    select
        created_date,
        'accept_rate' as metric,
        'share' as scale,
        period,
        accepts / nullif(verdicts, 0) as observed,
        2 * asin(sqrt((accepts + 0.375) / (verdicts + 0.75))) as value,
        case when verdicts > 0 then verdicts + 0.5 else 0 end as weight
    from complete

)

select * from final
