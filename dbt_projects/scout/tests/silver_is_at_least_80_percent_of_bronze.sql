-- A gate: while it fails, nothing of gold and platinum is built. What explains it is built before.
-- A superseded payload breaks no rule: what silver has of it is newer.
with

counted as (

    select
        (select count(*) from {{ ref('bronze_transactions') }}) as bronze_count,
        (select count(*) from {{ ref('silver_validated_transactions') }}) as silver_count,
        (
            select count(*) from {{ ref('silver_rejected_transactions') }}
            where rejection_reason = 'superseded'
        ) as superseded_count

)

select * from counted
where silver_count + superseded_count < {{ var("minimum_silver_share") }} * bronze_count
