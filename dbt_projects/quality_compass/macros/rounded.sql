{% macro rounded(value, places) -%}
    {#- Only numeric rounds to places; the result is a double again, like every other figure. -#}
    cast(round(cast({{ value }} as numeric), {{ places }}) as double precision)
{%- endmacro %}
