{% materialization table, adapter='duckdb' %}
    {#- dbt's own way, which renames and asks for the columns five times, is most of the time of a small table. -#}
    {{ return(write_whole('table', sql)) }}
{% endmaterialization %}

{% macro write_whole(type, sql) -%}
    {#- The relation anew, in one transaction: DuckDB rolls back a drop, too. -#}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type=type) -%}
    {%- set statement -%}
        {%- if existing -%}
        drop {{ existing.type }} if exists {{ this }};
        {%- endif %}
        {{ get_create_view_as_sql(target, sql) if type == 'view' else get_create_table_as_sql(False, target, sql) }};
        {{ comments_on(target) }}
    {%- endset -%}
    {{ return(shared.write_in_place(statement, type)) }}
{%- endmacro %}

{% macro comments_on(target) -%}
    comment on {{ target.type }} {{ target }} is {{ duckdb_escape_comment(model.description) }};
    {%- for column in model.columns.values() %}
    comment on column {{ target }}.{{ adapter.quote(column.name) }} is {{ duckdb_escape_comment(column.description) }};
    {%- endfor %}
{%- endmacro %}
