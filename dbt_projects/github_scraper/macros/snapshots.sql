{% macro postgres__snapshot_get_time() -%}
    {#- Of the type of every `updated_at` here: dbt's own is a time without zone, and warns of the difference. -#}
    now()
{%- endmacro %}
