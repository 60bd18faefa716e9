{% materialization view, adapter='postgres' %}
    {%- if not shared.same_columns(sql) -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place(shared.view_anew(sql), 'view')) }}
{% endmaterialization %}

{% materialization table, adapter='postgres' %}
    {%- set statement = shared.rows_in_place(sql) -%}
    {%- if not statement -%}
        {{ return(dbt.materialization_table_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place(statement, 'table')) }}
{% endmaterialization %}

{% materialization incremental, adapter='postgres' %}
    {%- set replaced = none if is_incremental() else shared.rows_in_place(sql) -%}
    {%- if replaced -%}
        {{ return(shared.write_in_place(replaced, 'table')) }}
    {%- endif -%}
    {%- set columns = shared.same_columns(sql) if is_incremental() else none -%}
    {%- if not columns -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {%- set key, names = config.get('unique_key'), columns | join(', ') -%}
    {%- if not key -%}
        {%- set statement = 'insert into ' ~ this ~ ' (' ~ names ~ ') select ' ~ names ~ ' from (' ~ sql ~ ') as added' -%}
        {{ return(shared.write_in_place(statement, 'table')) }}
    {%- endif -%}
    {%- set changed = this.identifier ~ '__changed' -%}
    {%- set statement -%}
        create temporary table {{ changed }} on commit drop as (
            {{ sql }}
        );
        merge into {{ this }} as existing
        using {{ changed }} as changed
        on existing.{{ key }} = changed.{{ key }}
        when matched then update set
            {% for column in columns if column != key -%}
            {{ column }} = changed.{{ column }}{{ ', ' if not loop.last }}
            {%- endfor %}
        when not matched then insert ({{ names }})
        values (changed.{{ columns | join(', changed.') }})
    {%- endset -%}
    {{ return(shared.write_in_place(statement, 'table')) }}
{% endmaterialization %}

{% macro postgres__alter_column_type(relation, column_name, new_column_type) -%}
    {{ return(shared.widen_column(relation, column_name, new_column_type)) }}
{%- endmacro %}
