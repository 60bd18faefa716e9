{% materialization incremental, adapter='postgres' %}
    {#- The rows of the changed runs are replaced in the table itself. dbt's own way, which the first build and a full
        refresh take, writes every new row twice and asks for the columns eight times. -#}
    {%- if not is_incremental() -%}
        {%- set replaced = shared.rows_in_place(sql) -%}
        {%- if replaced -%}
            {{ return(shared.write_in_place(replaced, 'table', is_described=true)) }}
        {%- endif -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    {%- set columns = columns_of_model_and_table(sql) -%}
    {%- set changed = changed_run_ids() -%}
    {%- set statement -%}
        {%- if changed -%}
        delete from only {{ this }} where {{ in_changed_runs('run_id', changed) }};
        {{ shared.refuse_rows_left(in_changed_runs('run_id', changed)) }}
        {%- endif %}
        insert into {{ this }} ({{ columns }})
        select {{ columns }} from (
            {{ sql }}
        ) as replaced
    {%- endset -%}
    {{ return(shared.write_in_place(statement, 'table')) }}
{% endmaterialization %}

{% macro postgres__alter_column_type(relation, column_name, new_column_type) -%}
    {{ return(shared.widen_column(relation, column_name, new_column_type)) }}
{%- endmacro %}
