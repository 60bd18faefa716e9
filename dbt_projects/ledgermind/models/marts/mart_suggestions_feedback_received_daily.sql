{{
    config(
        partition_by=by_day('feedback_date'),
        partition_expiration_days=var('partition_expiration_days', none),
    )
}}

with feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}

),

counted as (

    select
        {{ day_floor('created_at') }} as feedback_date,
        count(*) as feedback_rows,
        sum(case when action = 'accept' then 1 else 0 end) as accepts,
        sum(case when action = 'reject' then 1 else 0 end) as rejects
    from feedback
    group by {{ day_floor('created_at') }}

),

final as (

    select
        feedback_date,
        {{ whole('feedback_rows') }} as feedback_rows,
        {{ whole('accepts') }} as accepts,
        {{ whole('rejects') }} as rejects,
        {{ shared.safe_divide('accepts', 'accepts + rejects') }} as accept_rate
    from counted

)

select * from final
