with

bronze as (

    select * from {{ ref('bronze_products') }}

),

places as (

    select bronze_id from {{ ref('silver_products') }}
    union all
    select bronze_id from {{ ref('silver_rejected_products') }}

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
