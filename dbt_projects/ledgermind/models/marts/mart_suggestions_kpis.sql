{{
    config(
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
    )
}}

with suggestions as (

    select
        created_date,
        sum(events) as events_total,
        sum(events_model) as events_model,
        sum(events_heuristic) as events_heuristic,
        sum(candidates) as candidates
    from {{ ref('mart_suggestions_daily') }}
    group by created_date

),

feedback as (

    select
        created_date,
        sum(accepts) as accepts,
        sum(rejects) as rejects
    from {{ ref('mart_suggestions_feedback_daily') }}
    group by created_date

),

final as (

    select
        suggestions.created_date,
        {{ whole('suggestions.events_total') }} as events_total,
        {{ whole('suggestions.events_model') }} as events_model,
        {{ whole('suggestions.events_heuristic') }} as events_heuristic,
        {{ mean('suggestions.candidates', 'suggestions.events_total') }}
            as avg_candidate_count_overall,
        {{ shared.safe_divide('feedback.accepts', 'feedback.accepts + feedback.rejects') }}
            as accept_rate_overall
    from suggestions
    inner join feedback on suggestions.created_date = feedback.created_date

)

select * from final
