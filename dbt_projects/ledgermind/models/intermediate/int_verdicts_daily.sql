{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='verdict_group',
        on_schema_change='fail',
        partition_by=by_day(),
        cluster_by=['mode', 'model_id'],
        indexes=[{'columns': ['verdict_group'], 'unique': true}],
        pre_hook="{{ plan_for_few_rows() }}",
        post_hook=[
            "delete from {{ this }} where accepts + rejects = 0",
            "{{ note_place() }}",
            "{{ shared.brake(is_last=true) }}",
        ],
    )
}}
-- depends_on: {{ ref('int_source_days') }}

{%- set days = affected_days() if is_incremental() else [] %}

with suggestions as (

    select *
    from {{ ref('int_suggestions') }}
    where
        verdict in ('accept', 'reject')
        {%- if is_incremental() %}
        and {{ is_one_of_days('created_date', days) }}
        {%- endif %}

),

dated as (

    select
        *,
        greatest(created_date, {{ day_floor('last_feedback_at') }}) as verdict_date
    from suggestions

),

counted as (

    -- Both names may hold any sign: the length of the first tells where it ends.
    select
        concat(
            {{ shared.text('created_date') }}, '|', {{ shared.text('verdict_date') }}, '|', mode,
            '|', {{ shared.text('length(model_id)') }}, '|', model_id, '|', tenant_key
        ) as verdict_group,
        created_date,
        verdict_date,
        mode,
        model_id,
        engine,
        tenant_key,
        {{ whole("sum(case when verdict = 'accept' then 1 else 0 end)") }} as accepts,
        {{ whole("sum(case when verdict = 'reject' then 1 else 0 end)") }} as rejects,
        {{ built_at() }} as built_at
    from dated
    group by created_date, verdict_date, mode, model_id, engine, tenant_key

),

{% if is_incremental() %}
existing as (

    select * from {{ this }}
    where {{ is_one_of_days('created_date', days) }}

),

-- Most groups of a day that changed are as they were, and are not written.
unchanged as (

    select existing.verdict_group
    from existing
    inner join counted
        on
            existing.verdict_group = counted.verdict_group
            and existing.engine = counted.engine
            and existing.accepts = counted.accepts
            and existing.rejects = counted.rejects

),
{% endif %}
final as (

    select * from counted
    {%- if is_incremental() %}
    where verdict_group not in (select unchanged.verdict_group from unchanged)

    union all

    -- Groups with no verdict left: set to 0 here, deleted by the post-hook.
    select
        existing.verdict_group,
        existing.created_date,
        existing.verdict_date,
        existing.mode,
        existing.model_id,
        existing.engine,
        existing.tenant_key,
        {{ whole('0') }} as accepts,
        {{ whole('0') }} as rejects,
        {{ built_at() }} as built_at
    from existing
    left join counted on existing.verdict_group = counted.verdict_group
    where counted.verdict_group is null
    {%- endif %}

)

select * from final
