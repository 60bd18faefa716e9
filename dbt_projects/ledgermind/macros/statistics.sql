{% macro wilson_bound(accepts, verdicts, side) -%}
    {#- Bound of the 95 % Wilson score interval; `side` is '-' for the lower and '+' for the upper. Rounding would
        lead beyond 0 or 1 where none or all are accepted. -#}
    {%- set z = 1.959963984540054 -%}
    (
        case
            when {{ verdicts }} > 0
                then greatest(0, least(1, (
                    {{ real(accepts) }} / {{ verdicts }} + {{ z * z / 2 }} / {{ verdicts }}
                    {{ side }} {{ z }} * sqrt(
                        {{ real(accepts) }} / {{ verdicts }}
                        * (1 - {{ real(accepts) }} / {{ verdicts }}) / {{ verdicts }}
                        + {{ z * z / 4 }} / {{ verdicts }} / {{ verdicts }}
                    )
                ) / (1 + {{ z * z }} / {{ verdicts }})))
        end
    )
{%- endmacro %}

{% macro normal_tail(probability) -%}
    {#- The normal quantile that this probability, below one half, lies beyond: Hastings' fraction, right to 0.0005. -#}
    (
        sqrt(-2 * ln({{ probability }}))
        - (
            2.515517
            + 0.802853 * sqrt(-2 * ln({{ probability }}))
            + 0.010328 * -2 * ln({{ probability }})
        )
        / (
            1
            + 1.432788 * sqrt(-2 * ln({{ probability }}))
            + 0.189269 * -2 * ln({{ probability }})
            + 0.001308 * -2 * ln({{ probability }}) * sqrt(-2 * ln({{ probability }}))
        )
    )
{%- endmacro %}

{% macro student_tail(quantile, freedom) -%}
    {#- Student's quantile for the normal one, by the expansion of Cornish and Fisher in 1 / freedom. -#}
    (
        {{ quantile }}
        + (power({{ quantile }}, 3) + {{ quantile }}) / (4 * {{ freedom }})
        + (5 * power({{ quantile }}, 5) + 16 * power({{ quantile }}, 3) + 3 * {{ quantile }})
        / (96 * power({{ freedom }}, 2))
        + (
            3 * power({{ quantile }}, 7) + 19 * power({{ quantile }}, 5)
            + 17 * power({{ quantile }}, 3) - 15 * {{ quantile }}
        )
        / (384 * power({{ freedom }}, 3))
    )
{%- endmacro %}

{% macro first_unfinished_day() -%}
    {#- The UTC day on which the build started: it is still filling, and so are those after it. -#}
    {{ shared.build_day() }}
{%- endmacro %}

{% macro is_finished(day) -%}
    {#- Whether nothing new is written of a day: LedgerMind goes on while a build reads and a test counts. -#}
    {{ day }} < {{ first_unfinished_day() }}
{%- endmacro %}

{% macro is_randomised(kind) -%}
    {{ kind }} in ('{{ var("ab_randomised") | join("', '") }}')
{%- endmacro %}

{% macro series_of_levels(metric, day) -%}
    {#- A metric has another series from each day on from which `accepted_levels` has its level for a new one. -#}
    {%- set accepted = [] -%}
    {%- for level in var('accepted_levels') -%}
        {%- set name, since = level.split() -%}
        {%- do accepted.append(
            ' + case when ' ~ metric ~ " = '" ~ name ~ "' and " ~ day ~ " >= cast('" ~ since
            ~ "' as date) then 1 else 0 end"
        ) -%}
    {%- endfor -%}
    concat({{ metric }}, '|', {{ shared.text('0' ~ accepted | join) }})
{%- endmacro %}
