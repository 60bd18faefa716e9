with source as (

    select * from {{ source('operational', 'suggestion_events') }}

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
        {{ day_floor('created_at') }} as created_date
    from source

)

select * from renamed
