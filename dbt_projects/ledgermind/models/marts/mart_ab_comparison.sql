{%- set alpha = var('ab_alpha', 0.05) -%}
{%- set horizon = var('ab_horizon', 2000) -%}

with daily as (

    select * from {{ ref('int_suggestions_daily') }}

),

models as (

    select * from {{ ref('stg_models') }}

),

canaries as (

    select
        daily.model_id,
        daily.engine,
        min(daily.created_date) as first_date
    from daily
    inner join models on daily.model_id = models.model_id
    where models.phase = 'canary'
    group by daily.model_id, daily.engine

),

assigned as (

    select
        'auto against model' as comparison,
        created_date,
        mode = 'auto' as is_treatment,
        accepts,
        rejects
    from daily
    where mode in ('auto', 'model')

    union all

    select
        concat(canaries.model_id, ' against live') as comparison,
        daily.created_date,
        true as is_treatment,
        daily.accepts,
        daily.rejects
    from daily
    inner join canaries on daily.model_id = canaries.model_id

    union all

    -- The live models of the canary's engine, from the canary's first day on.
    select
        concat(canaries.model_id, ' against live') as comparison,
        daily.created_date,
        false as is_treatment,
        daily.accepts,
        daily.rejects
    from daily
    inner join models on daily.model_id = models.model_id
    inner join canaries
        on
            daily.engine = canaries.engine
            and daily.created_date >= canaries.first_date
    where models.phase = 'live'

),

by_day as (

    select
        comparison,
        created_date,
        sum(case when is_treatment then accepts + rejects else 0 end) as treatment_verdicts,
        sum(case when is_treatment then accepts else 0 end) as treatment_accepts,
        sum(case when is_treatment then 0 else accepts + rejects end) as control_verdicts,
        sum(case when is_treatment then 0 else accepts end) as control_accepts
    from assigned
    group by comparison, created_date

),

running as (

    select
        comparison,
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
        treatment_verdicts + control_verdicts as verdicts,
        treatment_accepts / nullif(treatment_verdicts, 0) as treatment_rate,
        control_accepts / nullif(control_verdicts, 0) as control_rate,
        -- Half an accept and half a reject more: no arm has a variance of zero.
        (treatment_accepts + 0.5) / (treatment_verdicts + 1) as smooth_treatment_rate,
        (control_accepts + 0.5) / (control_verdicts + 1) as smooth_control_rate
    from running

),

variances as (

    select
        *,
        verdicts * (
            smooth_treatment_rate * (1 - smooth_treatment_rate) / nullif(treatment_verdicts, 0)
            + smooth_control_rate * (1 - smooth_control_rate) / nullif(control_verdicts, 0)
        ) as variance,
        (-2 * ln({{ alpha }}) + ln(1 - 2 * ln({{ alpha }}))) / {{ horizon }} as rho_squared
    from rates

),

-- A confidence sequence (normal mixture): right at every look, however many looks there are.
intervals as (

    select
        *,
        treatment_rate - control_rate as difference,
        sqrt(
            variance
            * 2 * (verdicts * rho_squared + 1) / (verdicts * verdicts * rho_squared)
            * ln(sqrt(verdicts * rho_squared + 1) / {{ alpha }})
        ) as radius
    from variances
    where treatment_verdicts > 0 and control_verdicts > 0

),

final as (

    select
        comparison,
        created_date,
        {{ whole('treatment_verdicts') }} as treatment_verdicts,
        {{ whole('control_verdicts') }} as control_verdicts,
        {{ real('treatment_rate') }} as treatment_rate,
        {{ real('control_rate') }} as control_rate,
        {{ real('difference') }} as difference,
        {{ real('2 * asin(sqrt(treatment_rate)) - 2 * asin(sqrt(control_rate))') }} as effect_size,
        {{ real('difference - radius') }} as difference_low,
        {{ real('difference + radius') }} as difference_high,
        case
            when
                treatment_verdicts < {{ var('minimum_verdicts', 100) }}
                or control_verdicts < {{ var('minimum_verdicts', 100) }}
                then 'too few verdicts'
            when difference - radius > 0 then 'treatment is better'
            when difference + radius < 0 then 'treatment is worse'
            else 'open'
        end as decision
    from intervals

)

select * from final
