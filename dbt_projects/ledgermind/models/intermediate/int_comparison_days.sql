{{ config(materialized='table') }}

with verdicts as (

    select * from {{ ref('int_verdicts_daily') }}
    where verdict_date < {{ first_unfinished_day() }}

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
    from verdicts
    inner join models on verdicts.model_id = models.model_id
    where models.phase in ('shadow', 'canary')
    group by verdicts.model_id, verdicts.engine, models.phase

),

assigned as (

    select
        'auto against model' as comparison,
        {{ shared.text('null') }} as candidate_id,
        'modes' as kind,
        verdict_date,
        tenant_key,
        mode = 'auto' as is_treatment,
        accepts,
        rejects
    from verdicts
    where mode in ('auto', 'model')

    union all

    select
        concat(candidates.model_id, ' against live') as comparison,
        candidates.model_id as candidate_id,
        candidates.phase as kind,
        verdicts.verdict_date,
        verdicts.tenant_key,
        true as is_treatment,
        verdicts.accepts,
        verdicts.rejects
    from verdicts
    inner join candidates
        on
            verdicts.model_id = candidates.model_id
            and verdicts.engine = candidates.engine

    union all

    -- The live models of the candidate's engine, from the candidate's first day on.
    select
        concat(candidates.model_id, ' against live') as comparison,
        candidates.model_id as candidate_id,
        candidates.phase as kind,
        verdicts.verdict_date,
        verdicts.tenant_key,
        false as is_treatment,
        verdicts.accepts,
        verdicts.rejects
    from verdicts
    inner join models on verdicts.model_id = models.model_id
    inner join candidates
        on
            verdicts.engine = candidates.engine
            and verdicts.created_date >= candidates.first_date
    where models.phase = 'live'

),

final as (

    select
        comparison,
        candidate_id,
        kind,
        verdict_date,
        tenant_key,
        {{ real('sum(case when is_treatment then accepts + rejects else 0 end)') }}
            as treatment_verdicts,
        {{ real('sum(case when is_treatment then accepts else 0 end)') }} as treatment_accepts,
        {{ real('sum(case when is_treatment then 0 else accepts + rejects end)') }}
            as control_verdicts,
        {{ real('sum(case when is_treatment then 0 else accepts end)') }} as control_accepts
    from assigned
    group by comparison, candidate_id, kind, verdict_date, tenant_key

)

select * from final
