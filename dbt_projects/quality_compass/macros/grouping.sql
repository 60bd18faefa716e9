{% macro entity_identity(entity_keys) -%}
    {#- A facility is the same whatever system it belongs to; what is no facility is told by its system. -#}
    (case when {{ entity_keys }} ? 'medicareId' then {{ entity_keys }} - 'systemName' else {{ entity_keys }} end)
{%- endmacro %}

{% macro group_keys(entity_keys) -%}
    {#- The grouping keys of an entity in key order: everything but who the facility is. -#}
    (
        select keys.key, keys.value
        from jsonb_each_text(coalesce({{ entity_keys }}, cast('{}' as jsonb))) as keys
        where keys.key not in ('medicareId', 'systemName')
    )
{%- endmacro %}
