{{ config(tags=['whole_table']) }}

with

bronze as (

    select * from {{ ref('bronze_transactions') }}

),

places as (

    select bronze_id from {{ ref('silver_validated_transactions') }}
    union all
    select bronze_id from {{ ref('silver_rejected_transactions') }}

),

counted as (

    select
        bronze.id,
        count(places.bronze_id) as place_count
    from bronze
    left join places on bronze.id = places.bronze_id
    group by bronze.id

)

select * from counted
where place_count <> 1
