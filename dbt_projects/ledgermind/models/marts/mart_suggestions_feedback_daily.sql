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
        {{ whole('sum(events)') }} as events,
        {{ whole('sum(accepts)') }} as accepts,
        {{ whole('sum(rejects)') }} as rejects,
        {{ whole('sum(undos)') }} as undos,
        {{ shared.safe_divide('sum(accepts)', 'sum(accepts) + sum(rejects)') }} as accept_rate
    from daily
    group by created_date, mode, model_id

)

select * from final
