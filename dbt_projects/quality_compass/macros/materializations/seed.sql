{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {{ return(shared.reset_seed(model, full_refresh, old_relation, agate_table)) }}
{%- endmacro %}
