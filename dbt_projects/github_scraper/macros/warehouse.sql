{% macro by_commit_day(field='commit_day') -%}
    {#- The partition_by of a BigQuery table; PostgreSQL does not look at it. -#}
    {%- set partition = {
        'field': field,
        'data_type': 'date',
        'granularity': var('partition_granularity', 'month')
    } -%}
    {{ return(partition) }}
{%- endmacro %}

{% macro job_labels(node) -%}
    {#- As JSON. The queries of a test count towards the model it is attached to. -#}
    {%- set labels = {'domain': 'github_scraper', 'tool': 'dbt', 'model': 'dbt'} -%}
    {%- if node -%}
        {%- set model = (node.attached_node or '').split('.')[-1]
            if node.resource_type == 'test' else node.name -%}
        {%- do labels.update({'model': model or node.name, 'resource': node.resource_type | string}) -%}
    {%- endif -%}
    {{ return(tojson(labels)) }}
{%- endmacro %}
