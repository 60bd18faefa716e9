{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='day_tenant',
        on_schema_change='fail',
        partition_by=by_day(),
        cluster_by=['tenant_key'],
        indexes=[{'columns': ['day_tenant'], 'unique': true}],
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
        created_date,
        tenant_key,
        count(*) as events,
        count(distinct txn_id) as transactions,
        sum(candidate_count) as candidates,
        sum(case when verdict = 'accept' then 1 else 0 end) as accepts,
        sum(case when verdict = 'reject' then 1 else 0 end) as rejects,
        sum(case when verdict = 'undo' then 1 else 0 end) as undos
    from suggestions
    group by created_date, tenant_key

),

final as (

    select
        concat({{ shared.text('created_date') }}, '|', tenant_key) as day_tenant,
        created_date,
        tenant_key,
        {{ whole('events') }} as events,
        {{ whole('transactions') }} as transactions,
        {{ whole('candidates') }} as candidates,
        {{ whole('accepts') }} as accepts,
        {{ whole('rejects') }} as rejects,
        {{ whole('undos') }} as undos,
        {{ shared.safe_divide('accepts', 'accepts + rejects') }} as accept_rate,
        {{ built_at() }} as built_at
    from counted
    {%- if is_incremental() %}

    union all

    -- Rows with no event left: set to 0 here, deleted by the post-hook.
    select
        existing.day_tenant,
        existing.created_date,
        existing.tenant_key,
        {{ whole('0') }} as events,
        {{ whole('0') }} as transactions,
        {{ whole('0') }} as candidates,
        {{ whole('0') }} as accepts,
        {{ whole('0') }} as rejects,
        {{ whole('0') }} as undos,
        {{ real('null') }} as accept_rate,
        {{ built_at() }} as built_at
    from {{ this }} as existing
    left join counted
        on
            existing.created_date = counted.created_date
            and existing.tenant_key = counted.tenant_key
    where
        {{ is_one_of_days('existing.created_date', days) }}
        and counted.tenant_key is null
    {%- endif %}

)

select * from final
