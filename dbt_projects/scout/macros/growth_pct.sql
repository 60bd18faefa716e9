{% macro growth_pct(current_value, previous_value) -%}
    cast(
        ({{ current_value }} - {{ previous_value }}) / nullif({{ previous_value }}, 0) * 100
        as numeric(20, 4)
    )
{%- endmacro %}
