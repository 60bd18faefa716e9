{% macro by_commit_day(field='commit_day') -%}
    {#- The partition_by of a BigQuery table; PostgreSQL does not look at it. -#}
    {%- set partition = {
        'field': field,
        'data_type': 'date',
        'granularity': var('partition_granularity', 'month')
    } -%}
    {{ return(partition) }}
{%- endmacro %}

{% macro is_kept(day) -%}
    {#- Whether a mart still has the rows of a day: on BigQuery partitions of marts that nothing is computed from
        expire, and a test of what is there looks no further back. A month may go as soon as its first day does. -#}
    {%- if var('partition_expiration_days', none) is none -%}
        true
    {%- else -%}
        {{ shared.month_floor(day) }}
        > {{ shared.add_days(as_of_date(), 1 - var('partition_expiration_days') | int) }}
    {%- endif -%}
{%- endmacro %}
