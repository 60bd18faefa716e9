{% macro is_company_address(address) -%}
    coalesce(split_part({{ address }}, '@', 2) in {{ listed(var('company_domains')) }}, false)
{%- endmacro %}
