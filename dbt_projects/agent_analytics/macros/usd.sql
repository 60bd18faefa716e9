{% macro usd(tokens, rate) -%}
    {#- USD at a rate per million. Decimals: sums are the same in whichever order they are added. -#}
    cast(
        cast(0.000001 as decimal(7, 6)) * (cast({{ tokens }} as decimal(18, 0)) * {{ rate }})
        as decimal(28, 10)
    )
{%- endmacro %}

{% macro usd_of_all(cost) -%}
    {#- What the rows of a group cost together; NULL where one of them does not tell. -#}
    case when count({{ cost }}) = count(*) then sum(cast({{ cost }} as decimal(28, 10))) end
{%- endmacro %}
