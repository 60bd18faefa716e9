{% macro json_number(value) -%}
    (case when jsonb_typeof({{ value }}) = 'number' then cast({{ value }} as double precision) end)
{%- endmacro %}

{% macro json_integer(value) -%}
    {#- NULL for what no integer holds: one impossible number must not stop the rows of every run. -#}
    (
        case
            when {{ json_number(value) }} between -2147483648 and 2147483647
                then cast({{ json_number(value) }} as integer)
        end
    )
{%- endmacro %}

{% macro json_array(value) -%}
    (case when jsonb_typeof({{ value }}) = 'array' then {{ value }} else cast('[]' as jsonb) end)
{%- endmacro %}

{% macro json_boolean(value) -%}
    (case when jsonb_typeof({{ value }}) = 'boolean' then cast({{ value }} as boolean) end)
{%- endmacro %}

{% macro is_suppressed(flag) -%}
    {#- A flag that cannot be read hides, too: nobody said that what it is of may be shown. -#}
    ({{ flag }} is not null and {{ flag }} not in (cast('false' as jsonb), cast('null' as jsonb)))
{%- endmacro %}

{% macro flag_of_period(flags, name) -%}
    {#- That of a figure at a position, from lists by name; what has another form, or no flag there, is itself the flag
        that cannot be read. -#}
    (
        case
            when jsonb_typeof({{ flags }}) is distinct from 'object' then {{ flags }}
            when jsonb_typeof({{ flags }} -> '{{ name }}') is distinct from 'array' then {{ flags }} -> '{{ name }}'
            else coalesce({{ flags }} -> '{{ name }}' -> position, cast('"none"' as jsonb))
        end
    )
{%- endmacro %}

{% macro month_of(period) -%}
    case
        when {{ period }} ~ '^[0-9]{4}-?(0[1-9]|1[0-2])$'
            then to_date(replace({{ period }}, '-', ''), 'YYYYMM')
    end
{%- endmacro %}

{% macro instant_of(value, zone) -%}
    {#- A text that begins with a day as an instant, without an offset as local time of the zone; NULL for anything
        else: 'now' and 'infinity' are instants to PostgreSQL. -#}
    (
        case
            when {{ value }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[+-][0-9:]+)$'
                and pg_input_is_valid({{ value }}, 'timestamp with time zone')
                then cast({{ value }} as timestamp with time zone)
            when {{ value }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+$'
                and pg_input_is_valid({{ value }}, 'timestamp')
                then cast({{ value }} as timestamp) at time zone {{ zone }}
        end
    )
{%- endmacro %}

{% macro surrogate_key(columns) -%}
    {#- No two lists of values give one text: what parts them is marked where it stands in a value, and NULL is none. -#}
    md5(
        {%- for column in columns %}
        {{ "|| '|' || " if not loop.first -}}
        coalesce(replace(replace(cast({{ column }} as text), '\', '\\'), '|', '\|'), '\N')
        {%- endfor %}
    )
{%- endmacro %}

{% macro foreign_key(column) -%}
    (case when {{ column }} is not null then {{ surrogate_key([column]) }} end)
{%- endmacro %}

{% macro between_limits(value, low, high) -%}
    {#- Ranks and shares are floats, which may end just beyond their limits. -#}
    (case when {{ value }} < {{ low }} then {{ low }} when {{ value }} > {{ high }} then {{ high }} else {{ value }} end)
{%- endmacro %}
