{%- set columns = source_columns(source('operational', 'suggestion_feedback')) -%}

with source as (

    select
        id as feedback_id,
        {{ event_key('event_id') }} as event_id,
        action,
        {{ column_or_null('reason', columns, shared.text('null')) }},
        {{ column_or_null('txn_id', columns, whole('null')) }},
        {{ column_or_null('label', columns, shared.text('null')) }},
        {{ column_or_null('user_id', columns, shared.text('null')) }},
        {{ utc('created_at', columns) }} as created_at
    from {{ source('operational', 'suggestion_feedback') }}

),

renamed as (

    select
        feedback_id,
        event_id,
        {{ known_or('action', ['accept', 'reject', 'undo'], "'other'") }} as action,
        {{ shared.text('action') }} as action_as_sent,
        reason,
        txn_id,
        label,
        user_id,
        created_at
    from source
    where {{ is_plausible('created_at') }}

)

{{ one_of_each_key('renamed', 'suggestion_feedback', 'feedback_id', 'created_at') }}
