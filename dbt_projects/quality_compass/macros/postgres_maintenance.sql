{% macro analyze_table(columns=none) -%}
    {#- As a post-hook, with the columns that are joined or filtered by where others are wide. Nothing written,
        nothing to learn. A target of 20 reads 6,000 rows however long the table is: the planner needs to know that a
        new run has rows, and how many. -#}
    {%- set written = load_result('main') if execute -%}
    {%- if not written or written['response'].rows_affected != 0 -%}
        set local default_statistics_target = 20;
        analyze {{ this }} {%- if columns %} ({{ columns | join(', ') }}) {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro vacuum_analyze_table(table_name) -%}
    {#- VACUUM does not run inside a transaction: the connection's own one is ended first. -#}
    {%- set names = modules.re.fullmatch('(?:([a-z_][a-z0-9_]*)[.])?([a-z_][a-z0-9_]*)', table_name) -%}
    {%- if not names -%}
        {{ exceptions.raise_compiler_error("'" ~ table_name ~ "' is not the name of a table") }}
    {%- endif -%}
    {%- set relation = adapter.get_relation(target.database, names.group(1) or target.schema, names.group(2)) -%}
    {%- if not relation -%}
        {{ exceptions.raise_compiler_error("there is no table " ~ table_name) }}
    {%- endif -%}
    {%- call statement('end_transaction', auto_begin=False) -%} commit {%- endcall -%}
    {%- call statement('vacuum', auto_begin=False) -%} vacuum (analyze) {{ relation }} {%- endcall -%}
    {{ log("vacuumed and analyzed " ~ relation, info=true) }}
{%- endmacro %}

{% macro vacuum_analyze_tables(table_names) -%}
    {%- for table_name in table_names -%} {{ vacuum_analyze_table(table_name) }} {%- endfor -%}
{%- endmacro %}
