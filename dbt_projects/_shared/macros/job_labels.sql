{% macro job_labels(node, domain) -%}
    {#- As JSON. The queries of a test count towards the model it is attached to. -#}
    {%- set labels = {'domain': domain, 'tool': 'dbt', 'model': 'dbt'} -%}
    {%- if node -%}
        {%- set model = (node.attached_node or '').split('.')[-1]
            if node.resource_type == 'test' else node.name -%}
        {%- do labels.update({'model': model or node.name, 'resource': node.resource_type | string}) -%}
    {%- endif -%}
    {{ return(tojson(labels)) }}
{%- endmacro %}
