{% macro incremental_watermark(relation, column) -%}
    {#- A literal, not a scalar subquery: only then does the planner know how few rows of commits lie behind it and
        use the index on commits.updated_at. -#}
    {%- set newest = none -%}
    {%- if execute -%}
        {%- set newest = run_query(
            "select cast(max(" ~ column ~ ") - interval '" ~ var('incremental_lookback_hours')
            ~ " hours' as text) from " ~ relation
        ).rows[0][0] -%}
    {%- endif -%}
    cast('{{ newest or "-infinity" }}' as timestamptz)
{%- endmacro %}
