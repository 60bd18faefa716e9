{%- set columns = source_columns(source('operational', 'transactions')) -%}

with renamed as (

    select
        {{ transaction_key('id') }} as txn_id,
        {{ plausible_day_or_null(
            utc_day('date', columns) if 'date' in columns else 'cast(null as date)'
        ) }} as txn_date,
        {{ column_or_null('merchant', columns, shared.text('null')) }},
        {{ column_or_null('amount', columns, real('null')) }},
        {{ value_or('category', columns, shared.text('null')) }} as current_category,
        {{ 'deleted_at is not null' if 'deleted_at' in columns else 'false' }} as is_deleted,
        case
            when tenant_id is not null then concat('tenant:', {{ bounded_name('tenant_id') }})
            when user_id is not null then concat('user:', {{ bounded_name('user_id') }})
            else 'unknown'
        end as tenant_key,
        {{ transaction_updated_at(columns) }} as updated_at
    from {{ source('operational', 'transactions') }}

)

{{ one_of_each_key('renamed', 'transactions', 'txn_id', 'updated_at desc') }}
