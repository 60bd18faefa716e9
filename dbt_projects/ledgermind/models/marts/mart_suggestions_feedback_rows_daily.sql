{{
    config(
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
        cluster_by=['mode', 'model_id'],
    )
}}

with daily as (

    select * from {{ ref('int_suggestions_daily') }}

),

final as (

    select
        created_date,
        mode,
        model_id,
        {{ whole('sum(feedback_rows)') }} as feedback_rows,
        {{ whole('sum(accept_rows)') }} as accept_rows,
        {{ whole('sum(reject_rows)') }} as reject_rows,
        {{ whole('sum(undo_rows)') }} as undo_rows,
        {{ whole('sum(accepts) + sum(rejects) + sum(undos)') }} as events_answered
    from daily
    group by created_date, mode, model_id

)

select * from final
