with daily as (

    select * from {{ ref('int_suggestions_daily') }}

),

newest as (

    -- An event dated ahead must not move the window away from all others.
    select max(created_date) as as_of_date
    from daily
    where created_date <= {{ day_floor(run_clock()) }}

),

recent as (

    select daily.*
    from daily
    inner join newest
        on
            daily.created_date > {{ shared.add_days('newest.as_of_date', -30) }}
            and daily.created_date <= newest.as_of_date

),

summed as (

    select
        max(created_date) as as_of_date,
        coalesce(sum(events), 0) as suggestions,
        coalesce(sum(case when mode = 'model' then events else 0 end), 0) as of_model,
        coalesce(sum(case when mode = 'heuristic' then events else 0 end), 0) as of_heuristic,
        coalesce(sum(case when mode = 'auto' then events else 0 end), 0) as of_auto,
        coalesce(sum(accepts), 0) as accepts,
        coalesce(sum(rejects), 0) as rejects
    from recent

),

final as (

    select
        as_of_date,
        {{ whole('suggestions') }} as suggestions_30d,
        {{ whole('of_model') }} as model_suggestions_30d,
        {{ whole('of_heuristic') }} as heuristic_suggestions_30d,
        {{ whole('of_auto') }} as auto_suggestions_30d,
        {{ shared.safe_divide('accepts', 'accepts + rejects') }} as accept_rate_30d
    from summed

)

select * from final
