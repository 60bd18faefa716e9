{% macro one_side_of_sums_match(relation, group_by, row_condition, left_expression, right_expression) %}
    select
        {%- for group in group_by %}
        {{ group }} as group_{{ loop.index }},
        {%- endfor %}
        {{ left_expression }} as left_value,
        {{ right_expression }} as right_value
    from {{ relation }}
    where {{ row_condition }}
    {%- for group in group_by %}
    {{ 'group by ' if loop.first }}{{ loop.index }}{{ ',' if not loop.last }}
    {%- endfor %}
    {#- Without groups a constant beside an aggregate still needs one row. -#}
    {% if not group_by %} having true {% endif %}
{% endmacro %}
