{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='event_id',
        meta={'keyed_as': {'model': 'stg_suggestion_events', 'columns': ['event_id', 'txn_id']}},
        on_schema_change='fail',
        partition_by=by_day(),
        cluster_by=['mode', 'model_id'],
        indexes=[
            {'columns': ['event_id'], 'unique': true},
            {'columns': ['created_date']},
            {'columns': ['built_at']},
            {'columns': ['last_feedback_at', 'first_feedback_at']},
            {'columns': ['transaction_updated_at']},
        ],
        pre_hook=[
            "{{ plan_for_few_rows() }}",
            "{{ forget_implausible_days('created_date') }}",
            "{{ delete_vanished_suggestions() }}",
        ],
        post_hook="{{ note_place() }}",
    )
}}
-- depends_on: {{ ref('int_source_days') }}

with

{%- if is_incremental() %}
{%- set days = changed_days() %}
{%- set feedback = source('operational', 'suggestion_feedback') %}
{%- set feedback_columns = source_columns(feedback) %}

events_of_changed_days as (

    select * from {{ ref('stg_suggestion_events') }}
    where {{ is_within_days('created_at', days['suggestion_events']) }}

),

touched as (

    -- From the source: on its own column, of its own type, PostgreSQL has an index.
    select {{ event_key('event_id') }} as event_id
    from {{ feedback }}
    where {{ is_within_days(
        'created_at', days['suggestion_feedback'], feedback_columns['created_at']
    ) }}

    union distinct

    -- A reaction of that day may be gone.
    select event_id
    from {{ this }}
    where {{ overlaps_days('first_feedback_at', 'last_feedback_at', days['suggestion_feedback']) }}

    union distinct

    select events.event_id
    from {{ ref('stg_transactions') }} as transactions
    inner join {{ ref('stg_suggestion_events') }} as events
        on transactions.txn_id = events.txn_id
    where {{ is_within_days('transactions.updated_at', days['transactions']) }}

    union distinct

    -- A transaction of that day may be gone.
    select event_id
    from {{ this }}
    where {{ is_within_days('transaction_updated_at', days['transactions']) }}

),

touched_of_other_days as (

    select touched.event_id
    from touched
    left join events_of_changed_days as changed on touched.event_id = changed.event_id
    where changed.event_id is null

),

events as (

    select * from events_of_changed_days

    union all

    select * from {{ ref('stg_suggestion_events') }}
    where {{ is_one_of('event_id', 'touched_of_other_days') }}

),

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}
    where {{ is_one_of('event_id', 'events') }}

),

transactions as (

    select * from {{ ref('stg_transactions') }}
    where {{ is_one_of('txn_id', 'events') }}

),

{%- else %}

events as (

    select * from {{ ref('stg_suggestion_events') }}

),

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}

),

transactions as (

    select * from {{ ref('stg_transactions') }}

),

{%- endif %}

ranked_feedback as (

    select
        event_id,
        action,
        created_at,
        row_number() over (
            partition by event_id
            order by created_at desc, feedback_id desc
        ) as recency
    from feedback
    where event_id is not null

),

verdicts as (

    select
        event_id,
        max(case when recency = 1 then action end) as verdict,
        count(*) as feedback_rows,
        sum(case when action = 'accept' then 1 else 0 end) as accept_rows,
        sum(case when action = 'reject' then 1 else 0 end) as reject_rows,
        sum(case when action = 'undo' then 1 else 0 end) as undo_rows,
        min(created_at) as first_feedback_at,
        max(created_at) as last_feedback_at
    from ranked_feedback
    group by event_id

),

parsed_events as (

    select
        event_id,
        txn_id,
        created_at,
        created_date,
        mode,
        coalesce(model_id, 'unknown') as model_id,
        {{ json_length('candidates') }} as candidate_count,
        {{ json_extract_scalar('candidates', 0, 'label') }} as top_label,
        {{ safe_float(json_extract_scalar('candidates', 0, 'confidence')) }} as top_confidence
    from events
    {{ evaluated_once() }}

),

final as (

    select
        parsed_events.event_id,
        parsed_events.txn_id,
        parsed_events.created_at,
        parsed_events.created_date,
        parsed_events.mode,
        parsed_events.model_id,
        case
            when parsed_events.model_id like 'heuristic@%' then 'heuristic'
            when parsed_events.model_id like 'merchant-majority@%' then 'merchant_majority'
            when parsed_events.model_id like 'lgbm@%' then 'lgbm'
            when parsed_events.model_id in ('none', 'unknown') then parsed_events.model_id
            else 'other'
        end as engine,
        coalesce(transactions.tenant_key, 'unknown') as tenant_key,
        {{ whole('parsed_events.candidate_count') }} as candidate_count,
        parsed_events.top_label,
        parsed_events.top_confidence,
        case
            when parsed_events.candidate_count = 0 then 'no candidate'
            when parsed_events.top_confidence < 0 or parsed_events.top_confidence > 1
                then 'invalid'
            when parsed_events.top_confidence < 0.25 then '0-25%'
            when parsed_events.top_confidence < 0.5 then '25-50%'
            when parsed_events.top_confidence < 0.75 then '50-75%'
            when parsed_events.top_confidence <= 1 then '75-100%'
            else 'invalid'
        end as confidence_bucket,
        coalesce(verdicts.verdict, 'none') as verdict,
        {{ whole('coalesce(verdicts.feedback_rows, 0)') }} as feedback_rows,
        {{ whole('coalesce(verdicts.accept_rows, 0)') }} as accept_rows,
        {{ whole('coalesce(verdicts.reject_rows, 0)') }} as reject_rows,
        {{ whole('coalesce(verdicts.undo_rows, 0)') }} as undo_rows,
        verdicts.first_feedback_at,
        verdicts.last_feedback_at,
        transactions.updated_at as transaction_updated_at,
        {{ built_at() }} as built_at
    from parsed_events
    left join verdicts on parsed_events.event_id = verdicts.event_id
    left join transactions on parsed_events.txn_id = transactions.txn_id

)

select * from final
