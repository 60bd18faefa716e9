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
        {{ whole("sum(case when mode = 'auto' then events else 0 end)") }} as events_auto,
        {{ whole("sum(case when mode = 'model' then events else 0 end)") }} as events_model,
        {{ whole("sum(case when mode = 'heuristic' then events else 0 end)") }} as events_heuristic,
        {{ whole('sum(candidates)') }} as candidates,
        {{ mean('sum(candidates)', 'sum(events)') }} as avg_candidate_count
    from daily
    group by created_date, mode, model_id

)

select * from final
