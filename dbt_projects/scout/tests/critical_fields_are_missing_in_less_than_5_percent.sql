-- A gate: while it fails, nothing of gold and platinum is built. What silver accepted misses none
-- of them, and every other payload is among the rejected.
with

rejected as (

    select * from {{ ref('silver_rejected_transactions') }}

),

counted as (

    select
        count(*) filter (
            where
            {{ payload_text("transaction_id") }} is null
            or {{ payload_text("date") }} is null
            or {{ payload_text("amount") }} is null
            or {{ payload_text("vendor_id") }} is null
        ) as incomplete_count,
        count(*) + (select count(*) from {{ ref('silver_validated_transactions') }})
            as payload_count
    from rejected

)

select * from counted
where
    incomplete_count > 0
    and incomplete_count >= {{ var("maximum_missing_share") }} * payload_count
