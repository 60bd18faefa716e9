{% macro by_commit_day(field='commit_day') -%}
    {#- The partition_by of a BigQuery table; PostgreSQL does not look at it. -#}
    {%- set partition = {
        'field': field,
        'data_type': 'date',
        'granularity': var('partition_granularity', 'month')
    } -%}
    {{ return(partition) }}
{%- endmacro %}
