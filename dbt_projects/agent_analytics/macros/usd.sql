{% macro usd(tokens, rate) -%}
    {#- USD at a rate per million. Decimals: sums are the same in whichever order they are added. -#}
    cast(
        cast(0.000001 as decimal(7, 6)) * (cast({{ tokens }} as decimal(18, 0)) * {{ rate }})
        as decimal(28, 10)
    )
{%- endmacro %}
