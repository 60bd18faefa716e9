{{ config(meta={'is_braked': false}) }}
{%- set events = source('operational', 'suggestion_events') -%}
{%- set feedback = source('operational', 'suggestion_feedback') -%}
{%- set events_columns = source_columns(events) -%}
{%- set feedback_columns = source_columns(feedback) -%}

with events as (

    select
        'suggestion_events' as source_table,
        {{ shared.text('id') }} as row_id,
        'implausible_time' as reason
    from {{ events }}
    where {{ is_implausible('created_at', events_columns) }}

),

feedback as (

    select
        'suggestion_feedback' as source_table,
        {{ shared.text('id') }} as row_id,
        'implausible_time' as reason
    from {{ feedback }}
    where {{ is_implausible('created_at', feedback_columns) }}

),

rejected as (

    select * from events

    union all

    select * from feedback
    {%- for table, condition in [
        ('suggestion_events', 'not ' ~ is_implausible('created_at', events_columns)),
        ('suggestion_feedback', 'not ' ~ is_implausible('created_at', feedback_columns)),
        ('transactions', 'true'),
        ('model_registry', 'true'),
        ('transaction_labels', 'true'),
        ('ml_features', 'true'),
    ] if doubtful_keys(table)['missing'] or doubtful_keys(table)['repeated'] %}

    union all

    {{ rows_without_a_place(table, condition) }}
    {%- endfor %}

),

final as (

    select
        {{ shared.text('source_table') }} as source_table,
        row_id,
        {{ shared.text('reason') }} as reason
    from rejected

)

select * from final
