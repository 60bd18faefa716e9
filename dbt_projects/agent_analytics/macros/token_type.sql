{% macro token_type(name) -%}
    {#- The four kinds under their two spellings; anything else is NULL and reported by a test. -#}
    case lower(replace({{ name }}, '_', ''))
        when 'input' then 'input'
        when 'output' then 'output'
        when 'cacheread' then 'cache_read'
        when 'cachecreation' then 'cache_creation'
    end
{%- endmacro %}
