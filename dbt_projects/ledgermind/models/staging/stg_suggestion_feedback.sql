{%- set columns = source_columns(source('operational', 'suggestion_feedback')) -%}

with source as (

    select
        *,
        {{ utc('created_at', columns) }} as created_at_utc
    from {{ source('operational', 'suggestion_feedback') }}

),

renamed as (

    select
        id as feedback_id,
        event_id,
        {{ known_or('action', ['accept', 'reject', 'undo'], "'other'") }} as action,
        {{ shared.text('action') }} as action_as_sent,
        {{ column_or_null('reason', columns, shared.text('null')) }},
        {{ column_or_null('txn_id', columns, whole('null')) }},
        {{ column_or_null('label', columns, shared.text('null')) }},
        {{ column_or_null('user_id', columns, shared.text('null')) }},
        created_at_utc as created_at
    from source
    where {{ is_plausible('created_at_utc') }}

)

select * from renamed
