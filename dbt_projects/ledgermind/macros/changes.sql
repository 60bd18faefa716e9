{% macro last_built_at() -%}
    {#- The start of the last build that wrote a row of this model, as a literal. -#}
    {%- set found = none -%}
    {%- if execute -%}
        {%- set found = run_query("select max(built_at) as newest from " ~ this).rows[0][0] -%}
    {%- endif -%}
    {{ return(as_moment(found)) }}
{%- endmacro %}

{% macro changed_days(since=none) -%}
    {#- Days of each source table that changed since the last build of this model, as literals: with them
        PostgreSQL uses indexes, and BigQuery prunes partitions. -#}
    {%- set days = {
        'suggestion_events': [], 'suggestion_feedback': [], 'transactions': [], 'transaction_labels': []
    } -%}
    {%- if execute -%}
        {%- for row in run_query(
            "select source_table, source_day from " ~ ref('int_source_days')
            ~ " where changed_at > " ~ (since or last_built_at()) ~ " and " ~ is_plausible_day('source_day')
            ~ " order by source_table, source_day"
        ).rows -%}
            {%- do days[row[0]].append(row[1] | string | truncate(10, true, '', 0)) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(days) }}
{%- endmacro %}

{% macro affected_days() -%}
    {#- Days of suggestions with an event that was written to int_suggestions since the last build of this
        model, or that is gone from the source since. -#}
    {%- set days = [] -%}
    {%- if execute -%}
        {%- set since = last_built_at() -%}
        {%- for row in run_query(
            "select created_date from " ~ ref('int_suggestions') ~ " where built_at > " ~ since
            ~ " and " ~ is_plausible_day('created_date')
            ~ " union distinct select source_day from " ~ ref('int_source_days')
            ~ " where source_table = 'suggestion_events' and changed_at > " ~ since
            ~ " and " ~ is_plausible_day('source_day') ~ " order by 1"
        ).rows -%}
            {%- do days.append(row[0] | string | truncate(10, true, '', 0)) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(days) }}
{%- endmacro %}

{% macro is_one_of_days(column, days) -%}
    {%- if days -%}
        {{ column }} in (
            {%- for day in days -%}
                cast('{{ day }}' as date){{ ', ' if not loop.last }}
            {%- endfor -%}
        )
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}

{% macro day_ranges(days) -%}
    {#- Days in a row as one range of its first day and the day after its last, so that PostgreSQL
        reads an index once for it, and estimates few rows. -#}
    {%- set ranges = [] -%}
    {%- for day in days -%}
        {%- set date = modules.datetime.datetime.strptime(day, '%Y-%m-%d') -%}
        {%- if ranges and ranges[-1][1] == date -%}
            {%- do ranges.append([ranges.pop()[0], date + modules.datetime.timedelta(days=1)]) -%}
        {%- else -%}
            {%- do ranges.append([date, date + modules.datetime.timedelta(days=1)]) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ranges) }}
{%- endmacro %}

{% macro is_within_days(column, days, type='timestamp') -%}
    {#- Whether an instant, of this type on PostgreSQL, is of one of the days. -#}
    {{ overlaps_days(column, column, days, type) }}
{%- endmacro %}

{% macro overlaps_days(first, last, days, type='timestamp') -%}
    {#- Whether one of the days lies between two instants, both included. -#}
    (
        {%- for range in day_ranges(days) -%}
            ({{ last }} >= {{ moment(range[0].strftime('%Y-%m-%d %H:%M:%S'), type) }}
            and {{ first }} < {{ moment(range[1].strftime('%Y-%m-%d %H:%M:%S'), type) }})
            {{- ' or ' if not loop.last }}
        {%- else -%}
            false
        {%- endfor -%}
    )
{%- endmacro %}

{% macro is_one_of(column, name) -%}
    {{ return(adapter.dispatch('is_one_of', 'ledgermind')(column, name)) }}
{%- endmacro %}

{% macro postgres__is_one_of(column, name) -%}
    {#- An array is looked up in the index; joined with, the whole table would be read. -#}
    {{ column }} = any(array(select {{ column }} from {{ name }}))
{%- endmacro %}

{% macro bigquery__is_one_of(column, name) -%}
    {{ column }} in (select {{ column }} from {{ name }})
{%- endmacro %}

{% macro plan_for_few_rows() -%}
    {#- PostgreSQL's defaults are for spinning disks: with them it reads whole tables for a day's rows. -#}
    {%- if is_incremental() and target.type == 'postgres' -%}
        set local random_page_cost = 1.1; set local work_mem = '64MB'
    {%- endif -%}
{%- endmacro %}

{% macro count_side_by_side() -%}
    {#- Nothing else can be built until the changed days are known: PostgreSQL counts the tables at the same time. -#}
    {%- if target.type == 'postgres' -%}
        set local parallel_setup_cost = 0
    {%- endif -%}
{%- endmacro %}

{% macro delete_vanished_suggestions() -%}
    {%- if is_incremental() -%}
        {%- set days = changed_days()['suggestion_events'] -%}
        {%- if days -%}
            delete from {{ this }} as existing
            where
                {{ is_one_of_days('existing.created_date', days) }}
                and not exists (
                    select 1
                    from {{ ref('stg_suggestion_events') }} as events
                    where
                        events.event_id = existing.event_id
                        and {{ is_within_days('events.created_at', days) }}
                )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro delete_changed_evaluations() -%}
    {#- Those of events that were written since, which are written anew, and of events that are gone. -#}
    {%- if is_incremental() -%}
        {%- set since = last_place() -%}
        {%- if since -%}
            {%- set days = changed_days(since)['suggestion_events'] -%}
            delete from {{ this }}
            where event_id in (
                select {{ shared.text('event_id') }} from {{ ref('int_suggestions') }} where built_at > {{ since }}
            );
            delete from {{ this }} as existing
            where
                {{ is_one_of_days('created_date', days) }}
                and not exists (
                    select 1
                    from {{ ref('int_suggestions') }} as suggestions
                    where
                        {{ shared.text('suggestions.event_id') }} = existing.event_id
                        and {{ is_one_of_days('suggestions.created_date', days) }}
                )
        {%- else -%}
            delete from {{ this }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro delete_changed_days_of_feedback() -%}
    {%- if is_incremental() -%}
        {%- set since = last_place() -%}
        delete from {{ this }}
        {%- if since %}
        where {{ is_one_of_days('feedback_date', changed_days(since)['suggestion_feedback']) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro by_day(field='created_date') -%}
    {#- The partition_by of a BigQuery table; PostgreSQL does not look at it. -#}
    {%- set partition = {'field': field, 'data_type': 'date', 'granularity': 'day'} -%}
    {{ return(partition) }}
{%- endmacro %}

{% macro is_kept(day) -%}
    {#- Whether a mart still has the rows of a day: on BigQuery partitions of marts that nothing is computed from expire,
        and a test of what is there looks no further back. The first days are left out, on which a partition may go at
        any time. -#}
    {%- if var('partition_expiration_days') is none -%}
        true
    {%- else -%}
        {{ day }} > {{ shared.add_days(first_unfinished_day(), 1 - var('partition_expiration_days') | int) }}
    {%- endif -%}
{%- endmacro %}

{% macro has_number(column) -%}
    {#- Whether a transaction has a whole number, as marts name it: LedgerMind may give it another key. A text is one
        where the number is written that way alone: '007' is another key than '7'. -#}
    {%- if transaction_key(column) == column -%}
        ({{ column }} is not null)
    {%- else -%}
        coalesce(
            {{ shared.matches(column, '^(0|-?[1-9][0-9]{0,17}|[1-9][0-9]{18})$') }}
            and (length({{ column }}) < 19 or {{ column }} like '-%' or {{ column }} <= '9223372036854775807'),
            false
        )
    {%- endif -%}
{%- endmacro %}

{% macro transaction_number(column) -%}
    (case when {{ has_number(column) }} then {{ whole(column) }} end)
{%- endmacro %}

{% macro should_full_refresh() -%}
    {#- A table that grows is made anew when LedgerMind gave its keys other types. On BigQuery, where that
        costs a scan of everything, somebody has to ask for it. Asked once for a model. -#}
    {%- if dbt.should_full_refresh() -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set keyed_as = config.get('meta', {}).get('keyed_as') -%}
    {%- if not execute or not keyed_as or target.type != 'postgres' or not load_relation(this) -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set told = graph.setdefault('keyed_otherwise', {}) -%}
    {%- if model.unique_id not in told -%}
        {%- set kept, staged = source_columns(this), source_columns(ref(keyed_as['model'])) -%}
        {%- set other = [] -%}
        {%- for name in keyed_as['columns'] if kept[name] != staged[name] -%}
            {%- do other.append(name) -%}
        {%- endfor -%}
        {%- do told.update({model.unique_id: other | length > 0}) -%}
    {%- endif -%}
    {{ return(told[model.unique_id]) }}
{%- endmacro %}

{% macro label_updated_at(columns) -%}
    {#- A label with no plausible time is as old as any. -#}
    coalesce({{ plausible_or_null(utc('updated_at', columns)) }}, {{ moment(var('plausible_from') ~ ' 00:00:00') }})
{%- endmacro %}

{% macro transaction_updated_at(columns) -%}
    {#- A transaction that was never updated is as old as itself, and with no plausible time as old as any. -#}
    {%- set created_at = utc_or_null('created_at', columns) -%}
    {%- set told = 'coalesce(' ~ utc('updated_at', columns) ~ ', ' ~ created_at ~ ')' -%}
    (
        case
            when {{ is_plausible(told) }} then {{ told }}
            else {{ moment(var('plausible_from') ~ ' 00:00:00') }}
        end
    )
{%- endmacro %}

{% macro is_plausible(instant) -%}
    (
        {{ instant }} >= {{ moment(var('plausible_from') ~ ' 00:00:00') }}
        and {{ instant }} < {{ moment(var('plausible_until') ~ ' 00:00:00') }}
    )
{%- endmacro %}

{% macro is_implausible(name, columns) -%}
    {#- On the column of a source, of its own type, so that PostgreSQL uses its index. -#}
    {%- set type = columns.get(name, 'timestamp') -%}
    (
        {{ name }} is null
        or {{ name }} < {{ moment(var('plausible_from') ~ ' 00:00:00', type) }}
        or {{ name }} >= {{ moment(var('plausible_until') ~ ' 00:00:00', type) }}
    )
{%- endmacro %}

{% macro is_plausible_day(day) -%}
    (
        {{ day }} >= cast('{{ var("plausible_from") }}' as date)
        and {{ day }} < cast('{{ var("plausible_until") }}' as date)
    )
{%- endmacro %}

{% macro plausible_or_null(instant) -%}
    (case when {{ is_plausible(instant) }} then {{ instant }} end)
{%- endmacro %}

{% macro plausible_day_or_null(day) -%}
    (case when {{ is_plausible_day(day) }} then {{ day }} end)
{%- endmacro %}

{% macro forget_implausible_days(day) -%}
    {#- What an earlier version kept. -#}
    {%- if is_incremental() -%}
        delete from {{ this }} where not {{ is_plausible_day(day) }}
    {%- endif -%}
{%- endmacro %}

{% macro known_or(column, values, otherwise) -%}
    {#- What a sender may write tomorrow must not stop what is counted today. -#}
    (
        case
            when lower({{ shared.text(column) }}) in (
                {%- for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% endfor -%}
            )
                then lower({{ shared.text(column) }})
            else {{ otherwise }}
        end
    )
{%- endmacro %}

{% macro bounded_name(column) -%}
    {#- No longer than what an index takes; what is cut off is told by its hash, so that no two names become one. -#}
    (
        case
            when length({{ shared.text(column) }}) > 200
                then concat(substr({{ shared.text(column) }}, 1, 167), '#', {{ shared.md5_hex(shared.text(column)) }})
            else {{ shared.text(column) }}
        end
    )
{%- endmacro %}

{% macro value_or(name, columns, nothing) -%}
    {{ return(name if name in columns else nothing) }}
{%- endmacro %}

{% macro column_or_null(name, columns, nothing) -%}
    {%- if name in columns -%}
        {{ name }}
    {%- else -%}
        {{ nothing }} as {{ name }}
    {%- endif -%}
{%- endmacro %}
