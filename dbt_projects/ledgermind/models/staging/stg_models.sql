{%- set columns = source_columns(source('operational', 'model_registry')) -%}

with source as (

    select * from {{ source('operational', 'model_registry') }}

),

renamed as (

    select
        model_id,
        case
            when lower(phase) like 'canary%' then 'canary'
            else lower(phase)
        end as phase,
        {{ utc('created_at', columns) }} as registered_at
    from source

)

select * from renamed
