-- A gate: while it fails, nothing that reads silver is built. It needs bronze alone, but a test
-- holds back only what is built from everything it depends on.
-- depends_on: {{ ref('silver_validated_transactions') }}
with

payloads as (

    select * from {{ ref('bronze_transactions') }}

),

counted as (

    select
        count(*) as payload_count,
        count(*) filter (
            where
            {{ payload_text("transaction_id") }} is null
            or {{ payload_text("date") }} is null
            or {{ payload_text("amount") }} is null
            or {{ payload_text("vendor_id") }} is null
        ) as incomplete_count
    from payloads

)

select * from counted
where
    incomplete_count > 0
    and incomplete_count >= {{ var("maximum_missing_share") }} * payload_count
