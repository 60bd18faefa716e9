{%- set columns = source_columns(source('operational', 'suggestion_events')) -%}

with source as (

    select
        {{ event_key('id') }} as event_id,
        {{ transaction_key('txn_id') }} as txn_id,
        model_id,
        {{ column_or_null('features_hash', columns, shared.text('null')) }},
        {{ as_json('candidates', columns) }} as candidates,
        mode,
        {{ utc('created_at', columns) }} as created_at
    from {{ source('operational', 'suggestion_events') }}

),

renamed as (

    select
        event_id,
        txn_id,
        {{ bounded_name('model_id') }} as model_id,
        features_hash,
        candidates,
        {{ known_or('mode', ['auto', 'model', 'heuristic'], "'other'") }} as mode,
        {{ shared.text('mode') }} as mode_as_sent,
        created_at,
        {{ day_floor('created_at') }} as created_date
    from source
    where {{ is_plausible('created_at') }}

)

{{ one_of_each_key('renamed', 'suggestion_events', 'event_id', 'created_at') }}
