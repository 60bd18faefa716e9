{% macro unchanged_columns(sql) -%}
    {#- The columns of a model whose table or view is there with the same ones, of the same types, which are also
        those of its contract; else none. One query: dbt's own ways ask for columns up to eight times. -#}
    {%- set existing = load_cached_relation(this) -%}
    {%- set type = 'view' if config.get('materialized') == 'view' else 'table' -%}
    {%- if existing is none or existing.type != type or should_full_refresh() -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set sources = ['(' ~ sql ~ ')', existing | string] -%}
    {%- if config.get('contract').enforced -%}
        {%- do sources.append('(' ~ get_empty_schema_sql(model['columns']) ~ ')') -%}
    {%- endif -%}
    {%- set query -%}
        select *
        from {% for source in sources %}{{ source }} as source_{{ loop.index }}{{ ', ' if not loop.last }}{% endfor %}
        where false
        limit 0
    {%- endset -%}
    {%- set described = [] -%}
    {%- for column in adapter.get_column_schema_from_query(query) -%}
        {%- do described.append((column.name, column.dtype)) -%}
    {%- endfor -%}
    {%- set width = described | length // sources | length -%}
    {%- set columns = described[:width] -%}
    {%- if described != columns * sources | length -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(columns | map(attribute=0) | list) }}
{%- endmacro %}

{% materialization view, adapter='postgres' %}
    {%- if not unchanged_columns(sql) -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {{ return(shared.write_in_place('create or replace view ' ~ this ~ ' as (' ~ sql ~ ')', 'view')) }}
{% endmaterialization %}

{% materialization table, adapter='postgres' %}
    {%- set columns = unchanged_columns(sql) -%}
    {%- if not columns -%}
        {{ return(dbt.materialization_table_default()) }}
    {%- endif -%}
    {%- set names = columns | join(', ') -%}
    {%- set statement -%}
        delete from {{ this }};
        insert into {{ this }} ({{ names }})
        select {{ names }} from (
            {{ sql }}
        ) as replaced
    {%- endset -%}
    {{ return(shared.write_in_place(statement, 'table')) }}
{% endmaterialization %}

{% materialization incremental, adapter='postgres' %}
    {%- set columns = unchanged_columns(sql) -%}
    {%- if not columns -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {%- set key = config.require('unique_key') -%}
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
        when not matched then insert ({{ columns | join(', ') }})
        values (changed.{{ columns | join(', changed.') }})
    {%- endset -%}
    {{ return(shared.write_in_place(statement, 'table')) }}
{% endmaterialization %}
