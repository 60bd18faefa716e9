{% macro build_day() -%}
    {#- run_started_at and not now(): every model of a build must end its windows on the same day. -#}
    cast('{{ run_started_at.strftime("%Y-%m-%d") }}' as date)
{%- endmacro %}
