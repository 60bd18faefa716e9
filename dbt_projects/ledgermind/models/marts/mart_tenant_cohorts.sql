-- One suggestion of long ago that is corrected takes hundreds of weeks with it.
{{ config(meta={'is_braked': false}) }}

with suggestions as (

    select * from {{ ref('mart_suggestions_tenant_daily') }}

),

daily as (

    select * from suggestions
    where tenant_key <> 'unknown'

),

-- The first day of which not everything is known: that of the build, or that on which a source
-- that stands still goes on, whatever is dated ahead.
known as (

    select
        least(
            {{ first_unfinished_day() }},
            {{ shared.add_days(
                'coalesce(max(created_date), ' ~ first_unfinished_day() ~ ')', 1
            ) }}
        ) as first_unknown_day
    from suggestions
    where created_date <= {{ first_unfinished_day() }}

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

-- A week in which none of a cohort came back is a week of retention 0, not a missing one. Within
-- the last ten years: a date of the year 1 would otherwise be followed by a hundred thousand.
weeks as (

    select
        cohorts.cohort_week,
        spine.date_day as week
    from cohorts
    inner join
        {{ shared.date_spine(
            shared.add_days(first_unfinished_day(), -3640), first_unfinished_day()
        ) }} as spine
        on
            cohorts.cohort_week <= spine.date_day
            and spine.date_day = {{ shared.week_floor('spine.date_day') }}
    inner join known on spine.date_day < known.first_unknown_day

    union distinct

    select
        cohort_week,
        week
    from weekly

),

final as (

    select
        weeks.cohort_week,
        {{ whole(shared.days_between('weeks.cohort_week', 'weeks.week') ~ ' / 7') }} as week_number,
        {{ shared.add_days('weeks.week', 7) }} <= known.first_unknown_day as is_complete_week,
        {{ whole('cohorts.tenants') }} as tenants,
        {{ whole('coalesce(weekly.tenants_active, 0)') }} as tenants_active,
        {{ whole('coalesce(weekly.events, 0)') }} as events,
        {{ whole('coalesce(weekly.accepts, 0)') }} as accepts,
        {{ whole('coalesce(weekly.rejects, 0)') }} as rejects,
        {{ shared.safe_divide('coalesce(weekly.tenants_active, 0)', 'cohorts.tenants') }}
            as retention,
        {{ shared.safe_divide('weekly.accepts', 'weekly.accepts + weekly.rejects') }} as accept_rate
    from weeks
    inner join cohorts on weeks.cohort_week = cohorts.cohort_week
    cross join known
    left join weekly on weeks.cohort_week = weekly.cohort_week and weeks.week = weekly.week

)

select * from final
