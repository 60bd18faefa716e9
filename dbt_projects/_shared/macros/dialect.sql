{% macro text(expression) -%}
    cast({{ expression }} as {{ dbt.type_string() }})
{%- endmacro %}

{% macro week_floor(day) -%}
    {{ return(adapter.dispatch('week_floor', 'shared')(day)) }}
{%- endmacro %}

{% macro default__week_floor(day) -%}
    cast(date_trunc('week', cast({{ day }} as timestamp)) as date)
{%- endmacro %}

{% macro bigquery__week_floor(day) -%}
    {#- date_trunc(day, isoweek) in words that the emulator knows, too. -#}
    date_sub({{ day }}, interval mod(extract(dayofweek from {{ day }}) + 5, 7) day)
{%- endmacro %}

{% macro month_floor(day) -%}
    {{ return(adapter.dispatch('month_floor', 'shared')(day)) }}
{%- endmacro %}

{% macro default__month_floor(day) -%}
    cast(date_trunc('month', cast({{ day }} as timestamp)) as date)
{%- endmacro %}

{% macro bigquery__month_floor(day) -%}
    {#- The cast is for the emulator, whose date_trunc returns a datetime. -#}
    cast(date_trunc({{ day }}, month) as date)
{%- endmacro %}

{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between', 'shared')(earlier, later)) }}
{%- endmacro %}

{% macro default__days_between(earlier, later) -%}
    ({{ later }} - {{ earlier }})
{%- endmacro %}

{% macro bigquery__days_between(earlier, later) -%}
    date_diff({{ later }}, {{ earlier }}, day)
{%- endmacro %}

{% macro add_days(day, count) -%}
    {{ return(adapter.dispatch('add_days', 'shared')(day, count)) }}
{%- endmacro %}

{% macro default__add_days(day, count) -%}
    ({{ day }} + cast({{ count }} as integer))
{%- endmacro %}

{% macro bigquery__add_days(day, count) -%}
    date_add({{ day }}, interval {{ count }} day)
{%- endmacro %}

{% macro split_part(value, delimiter, part) -%}
    {{ return(adapter.dispatch('split_part', 'shared')(value, delimiter, part)) }}
{%- endmacro %}

{% macro default__split_part(value, delimiter, part) -%}
    split_part({{ value }}, '{{ delimiter }}', {{ part }})
{%- endmacro %}

{% macro bigquery__split_part(value, delimiter, part) -%}
    split({{ value }}, '{{ delimiter }}')[safe_offset({{ part - 1 }})]
{%- endmacro %}

{% macro matches(value, pattern) -%}
    {{ return(adapter.dispatch('matches', 'shared')(value, pattern)) }}
{%- endmacro %}

{% macro default__matches(value, pattern) -%}
    ({{ value }} ~ '{{ pattern }}')
{%- endmacro %}

{% macro bigquery__matches(value, pattern) -%}
    regexp_contains({{ value }}, r'{{ pattern }}')
{%- endmacro %}

{% macro first_match(value, pattern) -%}
    {{ return(adapter.dispatch('first_match', 'shared')(value, pattern)) }}
{%- endmacro %}

{% macro default__first_match(value, pattern) -%}
    substring({{ value }} from '{{ pattern }}')
{%- endmacro %}

{% macro bigquery__first_match(value, pattern) -%}
    regexp_extract({{ value }}, r'{{ pattern }}')
{%- endmacro %}

{% macro md5_hex(value) -%}
    {{ return(adapter.dispatch('md5_hex', 'shared')(value)) }}
{%- endmacro %}

{% macro default__md5_hex(value) -%}
    md5({{ value }})
{%- endmacro %}

{% macro bigquery__md5_hex(value) -%}
    to_hex(md5({{ value }}))
{%- endmacro %}
