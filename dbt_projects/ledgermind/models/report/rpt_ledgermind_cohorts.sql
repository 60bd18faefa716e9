with cohorts as (

    select * from {{ ref('mart_tenant_cohorts') }}

),

final as (

    select
        cohort_week,
        week_number,
        is_complete_week,
        tenants,
        tenants_active,
        {{ real('retention') }} as retention,
        {{ real('accept_rate') }} as accept_rate
    from cohorts
    where
        week_number <= 12
        and cohort_week
        > (
            select max(newest.cohort_week) from cohorts as newest
            where newest.cohort_week <= {{ first_unfinished_day() }}
        ) - 84

)

select * from final
