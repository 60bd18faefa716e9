with daily as (

    select * from {{ ref('mart_suggestions_tenant_daily') }}
    where tenant_key <> 'unknown'

),

first_weeks as (

    select
        tenant_key,
        {{ shared.week_floor('min(created_date)') }} as cohort_week
    from daily
    group by tenant_key

),

cohorts as (

    select
        cohort_week,
        count(*) as tenants
    from first_weeks
    group by cohort_week

),

weekly as (

    select
        first_weeks.cohort_week,
        {{ shared.week_floor('daily.created_date') }} as week,
        count(distinct daily.tenant_key) as tenants_active,
        sum(daily.events) as events,
        sum(daily.accepts) as accepts,
        sum(daily.rejects) as rejects
    from daily
    inner join first_weeks on daily.tenant_key = first_weeks.tenant_key
    group by first_weeks.cohort_week, {{ shared.week_floor('daily.created_date') }}

),

final as (

    select
        weekly.cohort_week,
        {{ whole(shared.days_between('weekly.cohort_week', 'weekly.week') ~ ' / 7') }}
            as week_number,
        {{ whole('cohorts.tenants') }} as tenants,
        {{ whole('weekly.tenants_active') }} as tenants_active,
        {{ whole('weekly.events') }} as events,
        {{ whole('weekly.accepts') }} as accepts,
        {{ whole('weekly.rejects') }} as rejects,
        {{ shared.safe_divide('weekly.tenants_active', 'cohorts.tenants') }} as retention,
        {{ shared.safe_divide('weekly.accepts', 'weekly.accepts + weekly.rejects') }} as accept_rate
    from weekly
    inner join cohorts on weekly.cohort_week = cohorts.cohort_week

)

select * from final
