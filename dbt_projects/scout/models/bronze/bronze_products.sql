{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        indexes=[
            {'columns': ['id'], 'unique': true},
            {'columns': ['raw_id'], 'unique': true},
            {'columns': ['ingested_at desc']},
            {'columns': ['source']},
        ],
    )
}}

with

payloads as (

    select * from {{ source('scout', 'raw_product_ingestion') }}
    {% if is_incremental() %}
    where id > {{ greatest_raw_id(this) }}
    {% endif %}

),

final as (

    select
        cast(md5('product:' || id) as uuid) as id,
        id as raw_id,
        raw_data,
        source,
        source_filename,
        ingested_at,
        ingestion_batch_id,
        {{ build_moment() }} as created_at
    from payloads

)

select * from final
