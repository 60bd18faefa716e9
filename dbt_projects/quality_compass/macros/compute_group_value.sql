{% macro compute_group_value(entity_keys) -%}
    coalesce(
        (
            select string_agg(keys.value, ' / ' order by keys.key collate "C")
            from {{ group_keys(entity_keys) }} as keys
        ),
        'Facility-wide'
    )
{%- endmacro %}
