with source as (

    select
        *,
        {{ row_version(
            source('operational', 'suggestion_events'),
            ['id', 'txn_id', 'model_id', 'mode', 'created_at'],
        ) }}
            as row_version
    from {{ source('operational', 'suggestion_events') }}

),

renamed as (

    select
        id as event_id,
        txn_id,
        model_id,
        features_hash,
        candidates,
        mode,
        created_at,
        {{ day_floor('created_at') }} as created_date,
        row_version
    from source

)

select * from renamed
