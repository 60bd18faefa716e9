{{
    config(
        materialized=by_changes_or_anew(),
        on_schema_change='sync_all_columns',
        pre_hook=["{{ plan_for_few_rows() }}", "{{ delete_changed_comparisons() }}"],
        post_hook="{{ note_place_of_comparisons() }}",
    )
}}

{%- set since = place_of_comparisons() %}

-- Those of days whose rows are there, as they were, are not counted again.
with verdicts as (

    select
        verdict_date,
        created_date,
        mode,
        model_id,
        engine,
        tenant_key,
        accepts,
        accepts + rejects as verdicts
    from {{ ref('int_verdicts_daily') }}
    where
        verdict_date < {{ first_unfinished_day() }}
        {%- if since %}
        and verdict_date not in (select existing.verdict_date from {{ this }} as existing)
        {%- endif %}

),

verdict_days as (

    select
        verdict_date,
        count(*) as verdict_groups
    from verdicts
    group by verdict_date

),

models as (

    select * from {{ ref('stg_models') }}

),

candidates as (

    select
        verdicts.model_id,
        verdicts.engine,
        models.phase,
        min(verdicts.created_date) as first_date
    from {{ ref('int_verdicts_daily') }} as verdicts
    inner join models on verdicts.model_id = models.model_id
    where
        models.phase in ('shadow', 'canary')
        and verdicts.verdict_date < {{ first_unfinished_day() }}
    group by verdicts.model_id, verdicts.engine, models.phase

),

-- By number, which is quicker to group by than names are.
comparisons as (

    select
        *,
        row_number() over (order by model_id, engine, phase) as comparison_number
    from candidates

),

arms as (

    select
        comparison_number,
        model_id,
        engine,
        first_date,
        1 as in_treatment
    from comparisons

    union all

    -- The live models of the candidate's engine, from the candidate's first day on.
    select
        comparisons.comparison_number,
        models.model_id,
        comparisons.engine,
        comparisons.first_date,
        0 as in_treatment
    from comparisons
    cross join models
    where models.phase = 'live'

),

assigned as (

    select
        0 as comparison_number,
        verdict_date,
        tenant_key,
        case when mode = 'auto' then 1 else 0 end as in_treatment,
        accepts,
        verdicts
    from verdicts
    where mode in ('auto', 'model')

    union all

    select
        arms.comparison_number,
        verdicts.verdict_date,
        verdicts.tenant_key,
        arms.in_treatment,
        verdicts.accepts,
        verdicts.verdicts
    from verdicts
    inner join arms
        on
            verdicts.model_id = arms.model_id
            and verdicts.engine = arms.engine
            and verdicts.created_date >= arms.first_date

),

summed as (

    select
        comparison_number,
        verdict_date,
        tenant_key,
        sum({{ real('in_treatment * verdicts') }}) as treatment_verdicts,
        sum({{ real('in_treatment * accepts') }}) as treatment_accepts,
        sum({{ real('(1 - in_treatment) * verdicts') }}) as control_verdicts,
        sum({{ real('(1 - in_treatment) * accepts') }}) as control_accepts
    from assigned
    group by comparison_number, verdict_date, tenant_key

),

final as (

    select
        case
            when comparisons.model_id is null then 'auto against model'
            else concat(comparisons.model_id, ' against live')
        end as comparison,
        comparisons.model_id as candidate_id,
        coalesce(comparisons.phase, 'modes') as kind,
        summed.verdict_date,
        summed.tenant_key,
        summed.treatment_verdicts,
        summed.treatment_accepts,
        summed.control_verdicts,
        summed.control_accepts,
        {{ whole('verdict_days.verdict_groups') }} as verdict_groups
    from summed
    inner join verdict_days on summed.verdict_date = verdict_days.verdict_date
    left join comparisons on summed.comparison_number = comparisons.comparison_number

)

select * from final
