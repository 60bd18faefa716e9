{%- set columns = source_columns(source('operational', 'suggestion_feedback')) -%}

with source as (

    select * from {{ source('operational', 'suggestion_feedback') }}

),

renamed as (

    select
        id as feedback_id,
        event_id,
        lower({{ shared.text('action') }}) as action,
        {{ column_or_null('reason', columns, shared.text('null')) }},
        {{ column_or_null('txn_id', columns, whole('null')) }},
        {{ column_or_null('label', columns, shared.text('null')) }},
        {{ column_or_null('user_id', columns, shared.text('null')) }},
        {{ utc('created_at', columns) }} as created_at
    from source

)

select * from renamed
