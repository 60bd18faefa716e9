{{
    config(
        materialized=by_changes_or_anew(),
        unique_key='feedback_id',
        on_schema_change='fail',
        partition_by=by_day(),
        partition_expiration_days=var('partition_expiration_days', none),
        cluster_by=['mode', 'model_id'],
        indexes=[
            {'columns': ['feedback_id'], 'unique': true},
            {'columns': ['event_id']},
            {'columns': ['created_date']},
        ],
        pre_hook=["{{ plan_for_few_rows() }}", "{{ delete_changed_evaluations() }}"],
        post_hook="{{ note_place() }}",
    )
}}
-- depends_on: {{ ref('int_source_days') }}

{%- set since = last_place() if is_incremental() else none %}
{%- set labels_changed = since and changed_days(since)['transaction_labels'] %}

with labels as (

    select * from {{ ref('stg_transaction_labels') }}

),

{%- if since %}

touched as (

    select event_id
    from {{ ref('int_suggestions') }}
    where built_at > {{ since }}
    {%- if labels_changed %}

    union distinct

    -- A label has no part in int_suggestions.
    select cast(existing.event_id as {{ source_columns(ref('int_suggestions'))['event_id'] }})
    from {{ this }} as existing
    left join labels on existing.txn_id = {{ transaction_number('labels.txn_id') }}
    where
        existing.txn_id is null
        or existing.true_label is distinct from {{ shared.text('labels.label') }}
    {%- endif %}

),

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}
    where {{ is_one_of('event_id', 'touched') }}

),

{%- else %}

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}

),

{%- endif %}

suggestions as (

    select * from {{ ref('int_suggestions') }}

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
