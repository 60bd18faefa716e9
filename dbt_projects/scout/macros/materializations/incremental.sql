{% materialization incremental, adapter='postgres' %}
    {%- set statement = none if is_incremental() else shared.rows_in_place(sql) -%}
    {%- if not statement -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place(statement, 'table', is_described=true)) }}
{% endmaterialization %}

{% macro postgres__alter_column_type(relation, column_name, new_column_type) -%}
    {{ return(shared.widen_column(relation, column_name, new_column_type)) }}
{%- endmacro %}
