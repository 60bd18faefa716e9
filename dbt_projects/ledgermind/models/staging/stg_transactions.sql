{%- set columns = source_columns(source('operational', 'transactions')) -%}

with source as (

    select
        *,
        {{ row_version(
            source('operational', 'transactions'),
            ['id', 'tenant_id', 'user_id', 'created_at', 'updated_at'],
        ) }}
            as row_version
    from {{ source('operational', 'transactions') }}

),

renamed as (

    select
        id as txn_id,
        date as txn_date,
        merchant,
        amount,
        category as current_category,
        deleted_at is not null as is_deleted,
        case
            when tenant_id is not null then concat('tenant:', {{ shared.text('tenant_id') }})
            when user_id is not null then concat('user:', {{ shared.text('user_id') }})
            else 'unknown'
        end as tenant_key,
        coalesce(
            {{ utc('updated_at', columns) }}, {{ utc('created_at', columns) }}
        ) as updated_at,
        row_version
    from source

)

select * from renamed
