{% macro json_number(value) -%}
    (case when jsonb_typeof({{ value }}) = 'number' then cast({{ value }} as double precision) end)
{%- endmacro %}

{% macro json_array(value) -%}
    (case when jsonb_typeof({{ value }}) = 'array' then {{ value }} else cast('[]' as jsonb) end)
{%- endmacro %}

{% macro json_boolean(value) -%}
    (case when jsonb_typeof({{ value }}) = 'boolean' then cast({{ value }} as boolean) end)
{%- endmacro %}

{% macro month_of(period) -%}
    to_date(replace({{ period }}, '-', ''), 'YYYYMM')
{%- endmacro %}

{% macro surrogate_key(columns) -%}
    md5(concat_ws('|', {{ columns | join(', ') }}))
{%- endmacro %}
