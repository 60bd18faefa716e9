{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        meta={'is_braked': false},
        indexes=[{'columns': ['ingested_at']}, {'columns': ['last_raw_id']}],
    )
}}

with

payloads as (

    select * from {{ ref('bronze_transactions') }}
    {% if is_incremental() %}
    where raw_id > {{ greatest_raw_id(this, 'last_raw_id') }}
    {% endif %}

),

{{ conventions_of_files('payloads', ['amount', 'tax_amount'], 'currency', 'date') }},

-- What tells no other reading than the settings is left out, but for the last, which tells up to
-- where all were looked at.
final as (

    select
        source_filename,
        ingested_at,
        last_raw_id,
        day_first_count,
        month_first_count,
        decimal_comma_count,
        decimal_point_count,
        date_order,
        decimal_mark,
        point_currencies,
        comma_currencies
    from conventions
    where
        date_order is not null
        or coalesce(decimal_mark, '{{ var("decimal_mark") }}') <> '{{ var("decimal_mark") }}'
        or num_nonnulls(point_currencies, comma_currencies) > 0
        or last_raw_id = (select max(each.last_raw_id) from conventions as each)

)

select * from final
