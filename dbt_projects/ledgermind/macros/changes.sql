{% macro newest_seen(column) -%}
    {#- The newest value that the last build saw, less the look-back, as a literal: with one the planner uses the
        index on PostgreSQL, and BigQuery prunes partitions. -#}
    {%- set found = none -%}
    {%- if execute -%}
        {%- set found = run_query(
            "select max(" ~ column ~ ") as newest from " ~ this
        ).rows[0][0] -%}
    {%- endif -%}
    {%- if found is none -%}
        {{ moment('1900-01-01 00:00:00') }}
    {%- else -%}
        {%- set since = found.replace(tzinfo=none)
            - modules.datetime.timedelta(hours=var('lookback_hours')) -%}
        {{ moment(since.strftime('%Y-%m-%d %H:%M:%S.%f')) }}
    {%- endif -%}
{%- endmacro %}

{% macro day_list(query) -%}
    {#- The days a query returns as a list of literals; a day long past stands for none. -#}
    {%- set days = [] -%}
    {%- if execute -%}
        {%- for row in run_query(query).rows -%}
            {%- do days.append("cast('" ~ (row[0] | string)[:10] ~ "' as date)") -%}
        {%- endfor -%}
    {%- endif -%}
    {{ days | join(', ') if days else "cast('0001-01-01' as date)" }}
{%- endmacro %}

{% macro days_with_another_count() -%}
    {#- Days on which the source has not as many events as were built: deleted, or written with an old date. -#}
    {{ day_list(
        "select coalesce(there.created_date, here.created_date) as created_date from ("
        ~ "select created_date, count(*) as events from " ~ ref('stg_suggestion_events')
        ~ " group by created_date) as there full outer join ("
        ~ "select created_date, count(*) as events from " ~ this
        ~ " where not is_deleted group by created_date) as here"
        ~ " on there.created_date = here.created_date"
        ~ " where coalesce(there.events, 0) <> coalesce(here.events, 0) order by 1"
    ) }}
{%- endmacro %}

{% macro days_rebuilt_since() -%}
    {#- Days of int_suggestions with a row written by this build or after the build of `this`. -#}
    {%- set found = none -%}
    {%- if execute -%}
        {%- set found = run_query("select max(built_at) as newest from " ~ this).rows[0][0] -%}
    {%- endif -%}
    {%- set since = found.replace(tzinfo=none).strftime('%Y-%m-%d %H:%M:%S.%f')
        if found else '1900-01-01 00:00:00' -%}
    {{ day_list(
        "select distinct created_date from " ~ ref('int_suggestions')
        ~ " where built_at > " ~ moment(since) ~ " order by 1"
    ) }}
{%- endmacro %}

{% macro built_at() -%}
    {{ moment(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f')) }}
{%- endmacro %}

{% macro by_day(field='created_date') -%}
    {#- The partition_by of a BigQuery table; PostgreSQL does not look at it. -#}
    {%- set partition = {'field': field, 'data_type': 'date', 'granularity': 'day'} -%}
    {{ return(partition) }}
{%- endmacro %}

{% macro source_columns(relation) -%}
    {#- Name and type of the columns that are there; feedback has had two shapes. -#}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- do found.update({column.name | lower: column.dtype | lower}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{% macro utc(name, columns) -%}
    {#- PostgreSQL has both `timestamp` (UTC by agreement) and `timestamptz`. -#}
    {%- if 'with time zone' in columns.get(name, '') -%}
        ({{ name }} at time zone 'UTC')
    {%- else -%}
        {{ name }}
    {%- endif -%}
{%- endmacro %}

{% macro column_or_null(name, columns, nothing) -%}
    {%- if name in columns -%}
        {{ name }}
    {%- else -%}
        {{ nothing }} as {{ name }}
    {%- endif -%}
{%- endmacro %}
