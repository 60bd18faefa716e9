with tenant_days as (

    select * from {{ ref('int_comparison_days') }}

),

looks as (

    select * from {{ ref('int_comparison_looks') }}

),

by_day as (

    select
        comparison,
        kind,
        verdict_date as created_date,
        sum(treatment_verdicts) as treatment_verdicts,
        sum(treatment_accepts) as treatment_accepts,
        sum(control_verdicts) as control_verdicts,
        sum(control_accepts) as control_accepts
    from tenant_days
    group by comparison, kind, verdict_date

),

running as (

    select
        comparison,
        kind,
        created_date,
        {{ real('sum(treatment_verdicts) over so_far') }} as treatment_verdicts,
        {{ real('sum(treatment_accepts) over so_far') }} as treatment_accepts,
        {{ real('sum(control_verdicts) over so_far') }} as control_verdicts,
        {{ real('sum(control_accepts) over so_far') }} as control_accepts
    from by_day
    window
        so_far as (
            partition by comparison
            order by created_date
            rows between unbounded preceding and current row
        )

),

rates as (

    select
        *,
        treatment_accepts / nullif(treatment_verdicts, 0) as treatment_rate,
        control_accepts / nullif(control_verdicts, 0) as control_rate
    from running
    where treatment_verdicts > 0 and control_verdicts > 0

),

-- The latest look that was taken by then tells, unless one of them has decided.
ranked as (

    select
        rates.comparison,
        rates.created_date,
        looks.look_date as looked_at_date,
        looks.treatment_tenants,
        looks.control_tenants,
        looks.difference_low,
        looks.difference_high,
        looks.outcome as latest_outcome,
        looks.decided,
        row_number() over (
            partition by rates.comparison, rates.created_date
            order by looks.look_date desc
        ) as recency
    from rates
    inner join looks
        on
            rates.comparison = looks.comparison
            and rates.created_date >= looks.look_date

),

taken as (

    select * from ranked
    where recency = 1

),

judged as (

    select
        rates.*,
        taken.looked_at_date,
        taken.treatment_tenants,
        taken.control_tenants,
        taken.difference_low,
        taken.difference_high,
        case
            when {{ is_randomised('rates.kind') }} then 'experiment'
            else 'observation'
        end as evidence,
        case
            when taken.decided is not null then taken.decided
            when
                least(rates.treatment_verdicts, rates.control_verdicts)
                < {{ var('minimum_verdicts') }}
                then 'too few verdicts'
            when taken.latest_outcome = 'not enough clusters' then taken.latest_outcome
            else 'open'
        end as outcome
    from rates
    left join taken
        on
            rates.comparison = taken.comparison
            and rates.created_date = taken.created_date

),

final as (

    select
        comparison,
        created_date,
        {{ whole('treatment_verdicts') }} as treatment_verdicts,
        {{ whole('control_verdicts') }} as control_verdicts,
        {{ real('treatment_rate') }} as treatment_rate,
        {{ real('control_rate') }} as control_rate,
        {{ real('treatment_rate - control_rate') }} as difference,
        {{ real('2 * asin(sqrt(treatment_rate)) - 2 * asin(sqrt(control_rate))') }} as effect_size,
        {{ real('difference_low') }} as difference_low,
        {{ real('difference_high') }} as difference_high,
        case
            when outcome = 'better' and evidence = 'experiment' then 'treatment is better'
            when outcome = 'worse' and evidence = 'experiment' then 'treatment is worse'
            when outcome = 'better' then 'observed higher'
            when outcome = 'worse' then 'observed lower'
            else outcome
        end as decision,
        looked_at_date,
        {{ real('treatment_tenants') }} as treatment_tenants,
        {{ real('control_tenants') }} as control_tenants,
        evidence
    from judged

)

select * from final
