{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='source_and_day',
        on_schema_change='fail',
        pre_hook=["{{ count_side_by_side() }}", "{{ forget_implausible_days('source_day') }}"],
        post_hook="{{ note_place() }}",
    )
}}
{%- set events = source('operational', 'suggestion_events') %}
{%- set feedback = source('operational', 'suggestion_feedback') %}
{%- set transactions = source('operational', 'transactions') %}
{%- set events_columns = source_columns(events) %}
{%- set feedback_columns = source_columns(feedback) %}
{%- set transactions_columns = source_columns(transactions) %}
{%- set labels = source('operational', 'transaction_labels') %}
{%- set labels_columns = source_columns(labels) %}

-- One list that is grouped once, by numbers: PostgreSQL then counts the tables in parallel.
-- From the sources, not from staging: it is their rows that are counted, and nothing is waited for.
with versions as (

    select
        1 as source_number,
        {{ day_floor(utc('created_at', events_columns)) }} as source_day,
        {{ row_version(
            events,
            ['id', 'txn_id', 'model_id', 'mode', 'created_at'],
            [as_json('candidates', events_columns)]
        ) }} as row_version
    from {{ events }}

    union all

    select
        2 as source_number,
        {{ day_floor(utc('created_at', feedback_columns)) }} as source_day,
        {{ row_version(
            feedback,
            ['id', 'event_id', 'action', 'created_at']
                + (['label'] if 'label' in feedback_columns else [])
        ) }} as row_version
    from {{ feedback }}

    union all

    select
        3 as source_number,
        {{ day_floor(transaction_updated_at(transactions_columns)) }} as source_day,
        {{ row_version(
            transactions,
            ['id', 'tenant_id', 'user_id']
                + (['created_at'] if 'created_at' in transactions_columns else [])
                + ['updated_at']
        ) }} as row_version
    from {{ transactions }}
    {%- if labels_columns %}

    union all

    select
        4 as source_number,
        {{ day_floor(label_updated_at(labels_columns)) }} as source_day,
        {{ row_version(labels, ['txn_id', 'label', 'updated_at']) }} as row_version
    from {{ labels }}
    {%- endif %}
    {%- for table, number in [('suggestion_events', 1), ('suggestion_feedback', 2)]
        if doubtful_keys(table)['repeated'] %}
    {%- set repeated = source('operational', table) %}

    union all

    -- Another row may be the one that counts, of a day on which nothing was written.
    select
        {{ number }} as source_number,
        source_day,
        place as row_version
    from (
        select
            {{ day_floor(utc('created_at', source_columns(repeated))) }} as source_day,
            row_number() over (
                partition by {{ source_key(table) }} order by created_at
            ) as place
        from {{ repeated }}
    ) as placed
    where place > 1
    {%- endfor %}

),

counted as (

    select
        case source_number
            when 1 then 'suggestion_events'
            when 2 then 'suggestion_feedback'
            when 3 then 'transactions'
            when 4 then 'transaction_labels'
        end as source_table,
        source_day,
        count(*) as source_rows,
        sum(row_version) as checksum
    from versions
    group by source_number, source_day
    {{ evaluated_once() }}

),

keyed as (

    select
        concat(source_table, '|', {{ shared.text('source_day') }}) as source_and_day,
        source_table,
        source_day,
        {{ whole('source_rows') }} as source_rows,
        {{ whole('checksum') }} as checksum
    from counted
    -- Asked of each day, not of each of its rows.
    where {{ is_plausible_day('source_day') }}

)
{%- if is_incremental() %},

seen as (

    select * from {{ this }}

),

-- A day of which nothing is left stays as one with no rows.
final as (

    select
        coalesce(keyed.source_and_day, seen.source_and_day) as source_and_day,
        coalesce(keyed.source_table, seen.source_table) as source_table,
        coalesce(keyed.source_day, seen.source_day) as source_day,
        coalesce(keyed.source_rows, 0) as source_rows,
        coalesce(keyed.checksum, 0) as checksum,
        {{ built_at() }} as changed_at
    from keyed
    full outer join seen on keyed.source_and_day = seen.source_and_day
    where
        coalesce(keyed.source_rows, 0) <> coalesce(seen.source_rows, -1)
        or coalesce(keyed.checksum, 0) <> coalesce(seen.checksum, -1)

)
{%- else %},

final as (

    select
        *,
        {{ built_at() }} as changed_at
    from keyed

)
{%- endif %}

select * from final
