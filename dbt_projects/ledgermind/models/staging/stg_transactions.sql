{%- set columns = source_columns(source('operational', 'transactions')) -%}

with renamed as (

    select
        {{ transaction_key('id') }} as txn_id,
        {{ plausible_day_or_null(utc_day('date', columns)) }} as txn_date,
        merchant,
        amount,
        category as current_category,
        deleted_at is not null as is_deleted,
        case
            when tenant_id is not null then concat('tenant:', {{ bounded_name('tenant_id') }})
            when user_id is not null then concat('user:', {{ bounded_name('user_id') }})
            else 'unknown'
        end as tenant_key,
        {{ transaction_updated_at(columns) }} as updated_at
    from {{ source('operational', 'transactions') }}

)

{{ one_of_each_key('renamed', 'transactions', 'txn_id', 'updated_at desc') }}
