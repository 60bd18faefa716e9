-- A gate: while it fails, nothing of gold and platinum is built. What explains it is built before.
-- depends_on: {{ ref('silver_rejected_transactions') }}
with

counted as (

    select
        (select count(*) from {{ ref('bronze_transactions') }}) as bronze_count,
        (select count(*) from {{ ref('silver_validated_transactions') }}) as silver_count

)

select * from counted
where silver_count < {{ var("minimum_silver_share") }} * bronze_count
