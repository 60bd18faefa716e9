with daily as (

    select * from {{ ref('int_suggestions_daily') }}

),

first_days as (

    select
        model_id,
        min(created_date) as first_date
    from daily
    group by model_id

),

final as (

    select
        daily.model_id,
        first_days.first_date,
        {{ whole(shared.days_between('first_days.first_date', 'daily.created_date')) }}
            as day_number,
        {{ whole('sum(daily.events)') }} as events,
        {{ whole('sum(daily.accepts)') }} as accepts,
        {{ whole('sum(daily.rejects)') }} as rejects,
        {{ shared.safe_divide('sum(daily.accepts)', 'sum(daily.accepts) + sum(daily.rejects)') }}
            as accept_rate
    from daily
    inner join first_days on daily.model_id = first_days.model_id
    group by daily.model_id, first_days.first_date, daily.created_date

)

select * from final
