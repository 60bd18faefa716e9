{{
    config(
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
        cluster_by=['mode', 'model_id'],
    )
}}

with suggestions as (

    select * from {{ ref('int_suggestions') }}

),

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}

),

labels as (

    select * from {{ ref('stg_transaction_labels') }}

),

joined as (

    select
        feedback.feedback_id,
        suggestions.event_id,
        suggestions.txn_id,
        suggestions.created_date,
        suggestions.mode,
        suggestions.model_id,
        suggestions.engine,
        suggestions.top_confidence,
        feedback.action,
        feedback.created_at as feedback_at,
        labels.label as true_label,
        coalesce(feedback.label, suggestions.top_label) as suggested_label
    from feedback
    inner join suggestions on feedback.event_id = suggestions.event_id
    left join labels on suggestions.txn_id = labels.txn_id

),

final as (

    select
        {{ shared.text('feedback_id') }} as feedback_id,
        {{ shared.text('event_id') }} as event_id,
        {{ transaction_number('txn_id') }} as txn_id,
        created_date,
        {{ shared.text('mode') }} as mode,
        {{ shared.text('model_id') }} as model_id,
        {{ shared.text('engine') }} as engine,
        {{ real('top_confidence') }} as top_confidence,
        {{ shared.text('action') }} as action,
        feedback_at,
        {{ shared.text('suggested_label') }} as suggested_label,
        {{ shared.text('true_label') }} as true_label,
        case when action in ('accept', 'reject') then action = 'accept' end as is_accepted,
        case when action = 'accept' then suggested_label = true_label end as is_correct_accept,
        case when action = 'reject' then suggested_label <> true_label end as is_correct_reject
    from joined

)

select * from final
