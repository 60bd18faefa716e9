{%- set columns = source_columns(source('operational', 'suggestion_events')) -%}

with source as (

    select
        *,
        {{ utc('created_at', columns) }} as created_at_utc
    from {{ source('operational', 'suggestion_events') }}

),

renamed as (

    select
        id as event_id,
        txn_id,
        {{ bounded_name('model_id') }} as model_id,
        {{ column_or_null('features_hash', columns, shared.text('null')) }},
        candidates,
        {{ known_or('mode', ['auto', 'model', 'heuristic'], "'other'") }} as mode,
        {{ shared.text('mode') }} as mode_as_sent,
        created_at_utc as created_at,
        {{ day_floor('created_at_utc') }} as created_date
    from source
    where {{ is_plausible('created_at_utc') }}

)

select * from renamed
