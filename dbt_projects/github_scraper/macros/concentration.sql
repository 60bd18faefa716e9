{% macro calculate_gini_coefficient(value, ascending_rank) -%}
    case
        when coalesce(sum({{ value }}), 0) = 0 then null
        when count({{ value }}) = 1 then 0
        else
            cast(
                2.0 * sum({{ ascending_rank }} * {{ value }}) / (count({{ value }}) * sum({{ value }}))
                - (count({{ value }}) + 1.0) / count({{ value }})
                as double precision
            )
    end
{%- endmacro %}

{% macro bus_factor(descending_rank, cumulative_value, total_value) -%}
    min(
        case
            when {{ total_value }} > 0 and 2 * {{ cumulative_value }} >= {{ total_value }}
                then {{ descending_rank }}
        end
    )
{%- endmacro %}
