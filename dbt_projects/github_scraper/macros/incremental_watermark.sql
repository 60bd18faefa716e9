{% macro incremental_watermark(relation, column) -%}
    {#- A literal: for a scalar subquery the planner assumes a third of the table and may not use the index. -#}
    {%- set newest = none -%}
    {%- if execute -%}
        {%- set newest = run_query(
            "select cast(max(" ~ column ~ ") - interval '" ~ var('incremental_lookback_hours')
            ~ " hours' as text) from " ~ relation
        ).rows[0][0] -%}
    {%- endif -%}
    cast('{{ newest or "-infinity" }}' as timestamptz)
{%- endmacro %}
