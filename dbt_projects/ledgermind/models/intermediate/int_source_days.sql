{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='source_and_day',
        on_schema_change='fail',
        pre_hook="{{ count_side_by_side() }}",
    )
}}

with events as (

    select
        'suggestion_events' as source_table,
        created_date as source_day,
        count(*) as source_rows,
        sum(row_version) as checksum
    from {{ ref('stg_suggestion_events') }}
    group by created_date

),

feedback as (

    select
        'suggestion_feedback' as source_table,
        {{ day_floor('created_at') }} as source_day,
        count(*) as source_rows,
        sum(row_version) as checksum
    from {{ ref('stg_suggestion_feedback') }}
    group by {{ day_floor('created_at') }}

),

transactions as (

    select
        'transactions' as source_table,
        {{ day_floor('updated_at') }} as source_day,
        count(*) as source_rows,
        sum(row_version) as checksum
    from {{ ref('stg_transactions') }}
    group by {{ day_floor('updated_at') }}

),

counted as (

    select * from events
    union all
    select * from feedback
    union all
    select * from transactions

),

keyed as (

    select
        concat(source_table, '|', {{ shared.text('source_day') }}) as source_and_day,
        source_table,
        source_day,
        {{ whole('source_rows') }} as source_rows,
        {{ whole('checksum') }} as checksum
    from counted

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
