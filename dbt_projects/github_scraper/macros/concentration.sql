{% macro calculate_gini_coefficient(value, ascending_rank) -%}
    {#- One division of whole numbers: the same to the last digit in every database. -#}
    case
        when coalesce(sum({{ value }}), 0) = 0 then null
        else
            {{ shared.safe_divide(
                '(2 * sum(' ~ ascending_rank ~ ' * ' ~ value ~ ') - (count(' ~ value ~ ') + 1) * sum(' ~ value ~ '))',
                '(count(' ~ value ~ ') * sum(' ~ value ~ '))'
            ) }}
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
