{% materialization table, adapter='postgres' %}
    {%- set statement = shared.rows_in_place(sql) -%}
    {%- if not statement -%}
        {{ return(dbt.materialization_table_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place(statement, 'table', is_described=true)) }}
{% endmaterialization %}
