{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) -%}
    {#- dbt's own way drops the table on a full refresh, with what others made on it. -#}
    {%- set is_made_anew = full_refresh -%}
    {%- if full_refresh and shared.has_readers(old_relation) -%}
        {%- set kept = adapter.get_columns_in_relation(old_relation) | map(attribute='name') | list -%}
        {%- set is_made_anew = kept != agate_table.column_names | list -%}
        {%- if is_made_anew -%}
            {%- do shared.refuse_to_drop(run_query(shared.readers_of(old_relation)).columns[0].values()[0]) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(default__reset_csv_table(model, is_made_anew, old_relation, agate_table)) }}
{%- endmacro %}
