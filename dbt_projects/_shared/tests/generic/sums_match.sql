{% test sums_match(
    model,
    expression,
    compare_model,
    compare_expression=none,
    group_by=[],
    compare_group_by=none,
    row_condition='true',
    compare_row_condition='true',
    tolerance=0
) %}

{%- set other_expression = compare_expression or expression -%}
{%- set other_group_by = compare_group_by or group_by -%}
{%- if other_group_by | length != group_by | length -%}
    {{ exceptions.raise_compiler_error("sums_match: group_by and compare_group_by differ in length") }}
{%- endif -%}

with measured as (

    {{ shared.one_side_of_sums_match(model, group_by, row_condition, expression, '0') }}

    union all

    {{ shared.one_side_of_sums_match(
        compare_model, other_group_by, compare_row_condition, '0', other_expression
    ) }}

),

compared as (

    select
        {%- for _ in group_by %}
        group_{{ loop.index }},
        {%- endfor %}
        coalesce(sum(left_value), 0) as left_value,
        coalesce(sum(right_value), 0) as right_value
    from measured
    {%- for _ in group_by %}
    {{ 'group by ' if loop.first }}group_{{ loop.index }}{{ ',' if not loop.last }}
    {%- endfor %}

)

select *
from compared
{# Floats differ in their last digits by the order in which they were added; whole numbers below 1e12 do not. #}
where
    abs(left_value - right_value) > {{ tolerance }}
    and abs(left_value - right_value) > 0.0000005
    and abs(left_value - right_value) > 0.000000000001 * abs(left_value)

{% endtest %}
