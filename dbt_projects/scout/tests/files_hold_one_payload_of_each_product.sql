-- Told, and no gate: of one file's payloads of one id silver keeps the last. Those before it may be
-- the items of one order, or ids that somebody shortened.
{{ config(severity='warn') }}

with

rejected as (

    select * from {{ ref('silver_rejected_products') }}

),

bronze as (

    select * from {{ ref('bronze_products') }}

),

displaced as (

    select *
    from rejected
    where
        rejection_reason = 'superseded'
        and ingested_at > (select max(each.ingested_at) from rejected as each) - interval '7 days'

)

select
    displaced.source_filename,
    displaced.ingested_at,
    count(*) as displaced_count,
    min(displaced.sku) as sku
from displaced
inner join bronze on displaced.superseded_by = bronze.id
where
    displaced.ingested_at = bronze.ingested_at
    and displaced.source_filename = bronze.source_filename
    and displaced.raw_data <> bronze.raw_data
group by displaced.source_filename, displaced.ingested_at
