{% macro growth_pct(current_value, previous_value) -%}
    {#- NULL where there was nothing before, or next to nothing: what no column holds must not stop the others. -#}
    cast(
        case
            when abs({{ current_value }} / nullif({{ previous_value }}, 0)) < 1e13
                then ({{ current_value }} - {{ previous_value }}) / nullif({{ previous_value }}, 0) * 100
        end as numeric(20, 4)
    )
{%- endmacro %}
