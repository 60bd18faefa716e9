{% macro wilson_bound(accepts, verdicts, side) -%}
    {#- Bound of the 95 % Wilson score interval; `side` is '-' for the lower and '+' for the upper. -#}
    {%- set z = 1.959963984540054 -%}
    (
        case
            when {{ verdicts }} > 0
                then (
                    {{ real(accepts) }} / {{ verdicts }} + {{ z * z / 2 }} / {{ verdicts }}
                    {{ side }} {{ z }} * sqrt(
                        {{ real(accepts) }} / {{ verdicts }}
                        * (1 - {{ real(accepts) }} / {{ verdicts }}) / {{ verdicts }}
                        + {{ z * z / 4 }} / {{ verdicts }} / {{ verdicts }}
                    )
                ) / (1 + {{ z * z }} / {{ verdicts }})
        end
    )
{%- endmacro %}
