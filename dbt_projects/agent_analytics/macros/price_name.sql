{% macro price_name(model_name) -%}
    {#- The name of a model as the price list spells it: no provider before it, dots as dashes. -#}
    replace(regexp_replace(lower(trim({{ model_name }})), '^.*(anthropic[./]|models/|[/])', ''), '.', '-')
{%- endmacro %}
