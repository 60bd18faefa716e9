{% macro as_of_date(last_day) -%}
    {%- if var('as_of_date') -%} cast('{{ var('as_of_date') }}' as date)
    {%- else -%} {{ last_day }}
    {%- endif -%}
{%- endmacro %}
