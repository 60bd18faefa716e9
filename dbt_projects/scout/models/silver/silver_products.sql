{{
    config(
        materialized='table',
        indexes=[
            {'columns': ['id'], 'unique': true},
            {'columns': ['sku'], 'unique': true},
            {'columns': ['category', 'price']},
        ],
    )
}}

with

payloads as (

    select * from {{ ref('bronze_products') }}

),

text_of_payloads as (

    select
        id as bronze_id,
        source,
        ingested_at,
        {%- for key in [
            "sku", "name", "description", "category", "brand", "price", "cost", "stock_quantity",
            "unit_of_measure", "barcode", "is_active",
        ] %}
        {{ payload_text(key) }} as {{ key }}_text,
        {%- endfor %}
        raw_id
    from payloads

),

parsed as (

    select
        *,
        case when price_text is null then 0 else round({{ safe_numeric("price_text") }}, 2) end
            as price,
        coalesce(round({{ safe_numeric("cost_text") }}, 2), 0) as cost,
        coalesce(trunc({{ safe_numeric("stock_quantity_text") }}), 0) as stock_quantity
    from text_of_payloads

),

newest as (

    select distinct on (sku_text) *
    from parsed
    where
        sku_text is not null
        and name_text is not null
        and price >= 0
        and price < {{ var("amount_limit") }}
        and abs(cost) < {{ var("amount_limit") }}
        and abs(stock_quantity) < 2000000000
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
        coalesce({{ safe_boolean("is_active_text") }}, true) as is_active,
        source,
        ingested_at,
        {{ build_moment() }} as validated_at
    from newest

)

select * from final
