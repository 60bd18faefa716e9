-- By counts, which is quick: every_payload_is_in_exactly_one_place looks at each payload.
with

counted as (

    select
        (select count(*) from {{ ref('bronze_transactions') }}) as bronze_count,
        (select count(*) from {{ ref('silver_validated_transactions') }}) as accepted_count,
        (select count(*) from {{ ref('silver_rejected_transactions') }}) as rejected_count

)

select * from counted
where bronze_count <> accepted_count + rejected_count
