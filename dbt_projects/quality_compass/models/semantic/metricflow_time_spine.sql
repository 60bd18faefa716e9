-- No day after the newest run: a cumulative metric is repeated for each day of the spine.
with days as (

    select spine.date_day
    from {{ shared.date_spine("'2020-01-01'", "'2099-12-31'") }} as spine

),

newest as (

    select cast(max(run_at) at time zone 'UTC' as date) as date_day from {{ ref('stg_runs') }}

),

final as (

    select days.date_day
    from days
    cross join newest
    where days.date_day <= coalesce(newest.date_day, current_date)

)

select date_day from final
