with days as (

    select spine.date_day
    from {{ shared.date_spine("'2020-01-01'", "'2030-12-30'") }} as spine

)

select date_day from days
