with source as (

    select * from {{ source('raw', 'organization_domains') }}

),

final as (

    select
        id as organization_domain_id,
        domain,
        organization,
        valid_from,
        valid_to
    from source

)

select * from final
