with source as (

    select * from {{ source('raw', 'contributors') }}

),

final as (

    select
        id as identity_id,
        nullif({{ shared.split_part('lower(email)', '@', 2) }}, '') as email_domain
    from source

)

select * from final
