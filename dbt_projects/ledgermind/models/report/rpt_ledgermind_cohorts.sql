with cohorts as (

    select * from {{ ref('mart_tenant_cohorts') }}

),

ranked as (

    select
        *,
        dense_rank() over (order by cohort_week desc) as recency
    from cohorts
    where cohort_week <= {{ first_unfinished_day() }}

),

counted as (

    select {{ whole('sum(tenants)') }} as all_tenants
    from ranked
    where week_number = 0

),

final as (

    select
        ranked.cohort_week,
        ranked.week_number,
        ranked.is_complete_week,
        ranked.tenants,
        ranked.tenants_active,
        {{ real('ranked.retention') }} as retention,
        {{ real('ranked.accept_rate') }} as accept_rate,
        counted.all_tenants
    from ranked
    cross join counted
    where ranked.week_number <= 12 and ranked.recency <= 12

)

select * from final
