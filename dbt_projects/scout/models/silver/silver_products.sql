{{
    config(
        materialized='table',
        indexes=[
            {'columns': ['id'], 'unique': true},
            {'columns': ['sku'], 'unique': true},
            {'columns': ['category', 'is_active', 'price', 'sku']},
            {'columns': ['category', 'is_active', 'price desc', 'sku']},
        ],
    )
}}

with

payloads as (

    select * from {{ ref('bronze_products') }}

),

{{ parsed_products('payloads') }},

newest as (

    select distinct on (sku_text) *
    from parsed
    where rejection_reason is null
    order by sku_text asc, ingested_at desc, raw_id desc

),

final as (

    select
        cast(md5(sku_text) as uuid) as id,
        bronze_id,
        sku_text as sku,
        name_text as name,
        description_text as description,
        coalesce({{ standard_category("category_text") }}, category_text, 'General') as category,
        brand_text as brand,
        cast(price as numeric(15, 2)) as price,
        cast(cost as numeric(15, 2)) as cost,
        cast(stock_quantity as integer) as stock_quantity,
        coalesce(unit_of_measure_text, 'EA') as unit_of_measure,
        barcode_text as barcode,
        is_active,
        source,
        ingested_at,
        {{ build_moment() }} as validated_at
    from newest

)

select * from final
