{#- Days with verdicts of both arms after which it is looked at: twice as many each time. -#}
{%- set look_days = [7, 14, 28, 56, 112, 224, 448, 896, 1792, 3584] -%}
{%- set is_by_suggestion = var('ab_assignment_unit') == 'suggestion' -%}
{{ config(materialized='table') }}

with tenant_days as (

    select * from {{ ref('int_comparison_days') }}

),

days as (

    select
        comparison,
        verdict_date,
        sum(treatment_verdicts) as treatment_verdicts_of_day,
        sum(control_verdicts) as control_verdicts_of_day
    from tenant_days
    group by comparison, verdict_date

),

-- Of the other days nothing can be learned of a difference.
common_days as (

    select
        *,
        row_number() over (partition by comparison order by verdict_date) as day_number
    from days
    where treatment_verdicts_of_day > 0 and control_verdicts_of_day > 0

),

looks as (

    select
        comparison,
        day_number as look_day,
        verdict_date as look_date
    from common_days
    where day_number in ({{ look_days | join(', ') }})

),

-- Days after the newest look are not looked at yet.
newest_looks as (

    select
        comparison,
        max(look_day) as newest_look_day
    from looks
    group by comparison

),

numbered as (

    select
        tenant_days.*,
        common_days.treatment_verdicts_of_day,
        common_days.control_verdicts_of_day,
        common_days.day_number
    from tenant_days
    inner join common_days
        on
            tenant_days.comparison = common_days.comparison
            and tenant_days.verdict_date = common_days.verdict_date
    inner join newest_looks
        on
            common_days.comparison = newest_looks.comparison
            and common_days.day_number <= newest_looks.newest_look_day

),

-- A verdict weighs by the other arm's share of its day, and of its tenant's day: what moves both
-- arms on a day, or tells tenants apart, cancels out.
weighed as (

    select
        comparison,
        tenant_key,
        case
            {%- for days in look_days %}
            when day_number <= {{ days }} then {{ days }}
            {%- endfor %}
        end as seen_at,
        treatment_verdicts,
        treatment_accepts,
        control_verdicts,
        control_accepts,
        control_verdicts_of_day / (treatment_verdicts_of_day + control_verdicts_of_day)
            as treatment_weight,
        treatment_verdicts_of_day / (treatment_verdicts_of_day + control_verdicts_of_day)
            as control_weight,
        control_verdicts / (treatment_verdicts + control_verdicts) as treatment_weight_within,
        treatment_verdicts / (treatment_verdicts + control_verdicts) as control_weight_within
    from numbered

),

sums as (

    select
        comparison,
        tenant_key,
        seen_at,
        sum(treatment_verdicts) as treatment_verdicts,
        sum(treatment_accepts) as treatment_accepts,
        sum(control_verdicts) as control_verdicts,
        sum(control_accepts) as control_accepts,
        sum(treatment_weight * treatment_verdicts) as treatment_size,
        sum(treatment_weight * treatment_accepts) as treatment_sum,
        sum(control_weight * control_verdicts) as control_size,
        sum(control_weight * control_accepts) as control_sum,
        sum(treatment_weight_within * treatment_verdicts) as treatment_size_within,
        sum(treatment_weight_within * treatment_accepts) as treatment_sum_within,
        sum(control_weight_within * control_verdicts) as control_size_within,
        sum(control_weight_within * control_accepts) as control_sum_within
    from weighed
    group by comparison, tenant_key, seen_at

),

tenants_so_far as (

    select
        looks.comparison,
        looks.look_day,
        looks.look_date,
        sums.tenant_key,
        sum(sums.treatment_verdicts) as treatment_verdicts,
        sum(sums.treatment_accepts) as treatment_accepts,
        sum(sums.control_verdicts) as control_verdicts,
        sum(sums.control_accepts) as control_accepts,
        sum(sums.treatment_size) as treatment_size,
        sum(sums.treatment_sum) as treatment_sum,
        sum(sums.control_size) as control_size,
        sum(sums.control_sum) as control_sum,
        sum(sums.treatment_size_within) as treatment_size_within,
        sum(sums.treatment_sum_within) as treatment_sum_within,
        sum(sums.control_size_within) as control_size_within,
        sum(sums.control_sum_within) as control_sum_within
    from looks
    inner join sums
        on
            looks.comparison = sums.comparison
            and looks.look_day >= sums.seen_at
    group by looks.comparison, looks.look_day, looks.look_date, sums.tenant_key

),

-- Within tenants where that keeps half of the information or more.
designed as (

    select
        *,
        2 * sum(treatment_size_within) over look >= sum(treatment_size) over look
            as is_within_tenants
    from tenants_so_far
    window look as (partition by comparison, look_day)

),

chosen as (

    select
        comparison,
        look_day,
        look_date,
        is_within_tenants,
        treatment_verdicts,
        treatment_accepts,
        control_verdicts,
        control_accepts,
        case when is_within_tenants then treatment_size_within else treatment_size end
            as treatment_size,
        case when is_within_tenants then treatment_sum_within else treatment_sum end
            as treatment_sum,
        case when is_within_tenants then control_size_within else control_size end as control_size,
        case when is_within_tenants then control_sum_within else control_sum end as control_sum
    from designed

),

centred as (

    select
        *,
        sum(treatment_size) over look as size,
        sum(treatment_sum) over look / sum(treatment_size) over look as treatment_mean,
        sum(control_sum) over look / sum(control_size) over look as control_mean
    from chosen
    window look as (partition by comparison, look_day)

),

-- What the difference would lose without the tenant (the jackknife's residual).
residuals as (

    select
        *,
        (treatment_sum - treatment_mean * treatment_size)
        / size / greatest(1 - treatment_size / size, 0.01) as treatment_residual,
        (control_sum - control_mean * control_size)
        / size / greatest(1 - control_size / size, 0.01) as control_residual
    from centred

),

measured as (

    select
        comparison,
        look_day,
        look_date,
        is_within_tenants,
        size,
        treatment_mean,
        control_mean,
        sum(treatment_verdicts) as treatment_verdicts,
        sum(control_verdicts) as control_verdicts,
        (sum(treatment_accepts + control_accepts) + 0.5)
        / (sum(treatment_verdicts + control_verdicts) + 1) as rate,
        size * size / sum(treatment_size * treatment_size) as treatment_tenants,
        size * size / sum(control_size * control_size) as control_tenants,
        sum(treatment_residual * treatment_residual) as treatment_variance,
        sum(control_residual * control_residual) as control_variance,
        sum((treatment_residual - control_residual) * (treatment_residual - control_residual))
            as variance_by_tenant
    from residuals
    group by
        comparison, look_day, look_date, is_within_tenants, size, treatment_mean, control_mean

),

variances as (

    select
        *,
        rate * (1 - rate) / size as variance_by_verdict,
        -- Both arms' tenants vary alike unless the treatment has an effect.
        (
            (treatment_tenants - 1) * treatment_tenants * treatment_variance
            + (control_tenants - 1) * control_tenants * control_variance
        ) / greatest(treatment_tenants + control_tenants - 2, 0.01)
        * (1 / treatment_tenants + 1 / control_tenants) as variance_pooled,
        case
            when is_within_tenants or treatment_variance + control_variance = 0
                then least(treatment_tenants, control_tenants) - 1
            else
                (treatment_variance + control_variance) * (treatment_variance + control_variance)
                / (
                    treatment_variance * treatment_variance
                    / greatest(treatment_tenants - 1, 0.01)
                    + control_variance * control_variance / greatest(control_tenants - 1, 0.01)
                )
        end as freedom
    from measured

),

judged as (

    select
        *,
        {% if is_by_suggestion -%}
        variance_by_verdict as variance,
        true as has_enough_tenants,
        {%- else -%}
        case
            when is_within_tenants then greatest(variance_by_tenant, variance_by_verdict)
            else greatest(variance_by_tenant, variance_pooled, variance_by_verdict)
        end as variance,
        least(treatment_tenants, control_tenants) >= {{ var('ab_minimum_tenants') }}
            as has_enough_tenants,
        {%- endif %}
        least(treatment_verdicts, control_verdicts) >= {{ var('minimum_verdicts') }}
            as has_enough_verdicts
    from variances

),

-- Looks at which nothing can be decided spend nothing of the error probability.
spent as (

    select
        *,
        sum(case when has_enough_tenants and has_enough_verdicts then 1 else 0 end)
            over (partition by comparison order by look_day) as looks_taken
    from judged

),

quantiles as (

    select
        *,
        {{ normal_tail(
            var('ab_alpha') ~ ' / ((greatest(looks_taken, 1) + 1.0) * (greatest(looks_taken, 1) + 2))'
        ) }} as normal_quantile
    from spent

),

intervals as (

    select
        *,
        treatment_mean - control_mean as difference,
        {{ 'normal_quantile' if is_by_suggestion
            else student_tail('normal_quantile', 'greatest(freedom, 3)') }} * sqrt(variance)
        + 0.5 / size as radius
    from quantiles

),

outcomes as (

    select
        *,
        case
            when not has_enough_verdicts then 'too few verdicts'
            when not has_enough_tenants then 'not enough clusters'
            when difference - radius > 0 then 'better'
            when difference + radius < 0 then 'worse'
            else 'open'
        end as outcome
    from intervals

),

first_decisions as (

    select
        *,
        min(case when outcome in ('better', 'worse') then look_date end)
            over (partition by comparison) as decision_date
    from outcomes

),

final as (

    select
        comparison,
        look_date,
        {{ whole('look_day') }} as look_day,
        {{ whole('treatment_verdicts') }} as treatment_verdicts,
        {{ whole('control_verdicts') }} as control_verdicts,
        {{ real('treatment_tenants') }} as treatment_tenants,
        {{ real('control_tenants') }} as control_tenants,
        is_within_tenants,
        {{ real('difference') }} as difference,
        {{ real('difference - radius') }} as difference_low,
        {{ real('difference + radius') }} as difference_high,
        outcome,
        max(case when look_date = decision_date then outcome end) over (
            partition by comparison
            order by look_date
            rows between unbounded preceding and current row
        ) as decided
    from first_decisions

)

select * from final
