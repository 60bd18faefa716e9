{{
    config(
        materialized=by_changes_or_anew(),
        unique_key='feedback_date',
        on_schema_change='fail',
        partition_by=by_day('feedback_date'),
        partition_expiration_days=var('partition_expiration_days', none),
        pre_hook=["{{ plan_for_few_rows() }}", "{{ delete_changed_days_of_feedback() }}"],
        post_hook="{{ note_place() }}",
    )
}}
-- depends_on: {{ ref('int_source_days') }}

{%- set since = last_place() if is_incremental() else none %}
{%- set source_feedback = source('operational', 'suggestion_feedback') %}

with

{%- if since %}
{%- set days = changed_days(since)['suggestion_feedback'] %}

of_changed_days as (

    -- From the source: on its own column, of its own type, PostgreSQL has an index.
    select id as feedback_id
    from {{ source_feedback }}
    where {{ is_within_days('created_at', days, source_columns(source_feedback)['created_at']) }}

),

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}
    where {{ is_one_of('feedback_id', 'of_changed_days') }}

),

{%- else %}

feedback as (

    select * from {{ ref('stg_suggestion_feedback') }}

),

{%- endif %}

counted as (

    select
        {{ day_floor('created_at') }} as feedback_date,
        count(*) as feedback_rows,
        sum(case when action = 'accept' then 1 else 0 end) as accepts,
        sum(case when action = 'reject' then 1 else 0 end) as rejects
    from feedback
    group by {{ day_floor('created_at') }}

),

final as (

    select
        feedback_date,
        {{ whole('feedback_rows') }} as feedback_rows,
        {{ whole('accepts') }} as accepts,
        {{ whole('rejects') }} as rejects,
        {{ shared.safe_divide('accepts', 'accepts + rejects') }} as accept_rate
    from counted

)

select * from final
