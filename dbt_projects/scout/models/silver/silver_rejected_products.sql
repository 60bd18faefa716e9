{{
    config(
        materialized='table',
        meta={'is_braked': false},
        indexes=[
            {'columns': ['bronze_id'], 'unique': true},
            {'columns': ['rejection_reason']},
        ],
    )
}}

with

payloads as (

    select * from {{ ref('bronze_products') }}

),

accepted as (

    select * from {{ ref('silver_products') }}

),

{{ parsed_products('payloads') }},

judged as (

    select
        parsed.*,
        successor.bronze_id as superseded_by
    from parsed
    left join accepted on parsed.bronze_id = accepted.bronze_id
    left join accepted as successor
        on parsed.rejection_reason is null and parsed.sku_text = successor.sku
    where accepted.bronze_id is null

),

final as (

    select
        bronze_id,
        raw_id,
        sku_text as sku,
        coalesce(rejection_reason, 'superseded') as rejection_reason,
        superseded_by,
        raw_data,
        source,
        source_filename,
        ingested_at,
        {{ build_moment() }} as rejected_at
    from judged

)

select * from final
