{% macro greatest_raw_id(relation, column='raw_id') -%}
    {#- A literal, not a scalar subquery: only then does the planner know how few rows lie behind it. -#}
    {%- set greatest = none -%}
    {%- if execute and load_relation(relation) is not none -%}
        {%- set greatest = run_query("select max(" ~ column ~ ") from " ~ relation).rows[0][0] -%}
    {%- endif -%}
    {{ greatest or 0 }}
{%- endmacro %}
