{% macro seconds_between(started, ended) -%}
    {#- Decimals, to the microsecond: their sums are the same in whichever order they are added. -#}
    cast(date_diff('microsecond', {{ started }}, {{ ended }}) as decimal(18, 0)) * cast(0.000001 as decimal(7, 6))
{%- endmacro %}
