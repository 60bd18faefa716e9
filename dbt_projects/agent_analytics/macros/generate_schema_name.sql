{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ return(shared.generate_schema_name(custom_schema_name, node)) }}
{%- endmacro %}
