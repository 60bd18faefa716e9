{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='day_mode_model_bucket',
        on_schema_change='fail',
        partition_by=by_day(),
        cluster_by=['mode', 'model_id'],
        indexes=[{'columns': ['day_mode_model_bucket'], 'unique': true}],
        pre_hook=["{{ plan_for_few_rows() }}", "{{ forget_implausible_days('created_date') }}"],
        post_hook=[
            "delete from {{ this }} where events = 0",
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
    {%- if is_incremental() %}
    where {{ is_one_of_days('created_date', days) }}
    {%- endif %}

),

counted as (

    select
        concat(
            {{ shared.text('created_date') }}, '|', mode, '|', model_id, '|', confidence_bucket
        ) as day_mode_model_bucket,
        created_date,
        mode,
        model_id,
        engine,
        confidence_bucket,
        {{ whole('count(*)') }} as events,
        {{ whole('sum(candidate_count)') }} as candidates,
        {{ whole("sum(case when verdict = 'accept' then 1 else 0 end)") }} as accepts,
        {{ whole("sum(case when verdict = 'reject' then 1 else 0 end)") }} as rejects,
        {{ whole("sum(case when verdict = 'undo' then 1 else 0 end)") }} as undos,
        {{ whole('sum(feedback_rows)') }} as feedback_rows,
        {{ whole('sum(accept_rows)') }} as accept_rows,
        {{ whole('sum(reject_rows)') }} as reject_rows,
        {{ whole('sum(undo_rows)') }} as undo_rows,
        {{ built_at() }} as built_at
    from suggestions
    group by created_date, mode, model_id, engine, confidence_bucket

),

final as (

    select * from counted
    {%- if is_incremental() %}

    union all

    -- Rows with no event left: set to 0 here, deleted by the post-hook.
    select
        existing.day_mode_model_bucket,
        existing.created_date,
        existing.mode,
        existing.model_id,
        existing.engine,
        existing.confidence_bucket,
        {{ whole('0') }} as events,
        {{ whole('0') }} as candidates,
        {{ whole('0') }} as accepts,
        {{ whole('0') }} as rejects,
        {{ whole('0') }} as undos,
        {{ whole('0') }} as feedback_rows,
        {{ whole('0') }} as accept_rows,
        {{ whole('0') }} as reject_rows,
        {{ whole('0') }} as undo_rows,
        {{ built_at() }} as built_at
    from {{ this }} as existing
    left join counted
        on existing.day_mode_model_bucket = counted.day_mode_model_bucket
    where
        {{ is_one_of_days('existing.created_date', days) }}
        and counted.day_mode_model_bucket is null
    {%- endif %}

)

select * from final
