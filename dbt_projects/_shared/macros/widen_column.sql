{% macro widen_column(relation, column_name, new_column_type) -%}
    {#- dbt's own way drops the column with all that others made on it. PostgreSQL gives a text more room where it
        stands, and names the view that keeps it from it. -#}
    {% call statement('alter_column_type') -%}
        alter table {{ relation }} alter column {{ adapter.quote(column_name) }} type {{ new_column_type }}
    {%- endcall %}
{%- endmacro %}
