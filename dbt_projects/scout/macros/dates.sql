{% macro as_of_date() -%}
    {%- if var("as_of_date", none) -%}
        cast('{{ var("as_of_date") }}' as date)
    {%- else -%}
        {#- run_started_at and not now(): every model of a build must end its windows on the same day. -#}
        cast(
            timestamptz '{{ run_started_at }}' at time zone '{{ var("business_timezone") }}' as date
        )
    {%- endif -%}
{%- endmacro %}

{% macro month_of(day) -%}
    cast(date_trunc('month', cast({{ day }} as timestamp)) as date)
{%- endmacro %}

{% macro week_of(day) -%}
    {#- The Monday. -#}
    cast(date_trunc('week', cast({{ day }} as timestamp)) as date)
{%- endmacro %}

{% macro business_day(moment) -%}
    cast({{ moment }} at time zone '{{ var("business_timezone") }}' as date)
{%- endmacro %}

{% macro build_moment() -%}
    cast('{{ run_started_at }}' as timestamptz)
{%- endmacro %}

{% macro date_from_parts(year, month, day) -%}
    {#- make_date raises an error for 30 February, and a CASE is the only fence PostgreSQL respects. -#}
    case
        when cast({{ year }} as integer) = 0 then null
        when cast({{ month }} as integer) not between 1 and 12 then null
        when cast({{ day }} as integer) not between 1 and 31 then null
        when
            cast({{ day }} as integer)
            > extract(
                day from make_date(cast({{ year }} as integer), cast({{ month }} as integer), 1)
                + interval '1 month' - interval '1 day'
            )
            then null
        else
            make_date(
                cast({{ year }} as integer), cast({{ month }} as integer), cast({{ day }} as integer)
            )
    end
{%- endmacro %}

{% macro safe_date(value) -%}
    {%- set month_at, day_at = (1, 2) if var("slash_date_order") == "mdy" else (2, 1) -%}
    case
        when {{ value }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
            then {{ date_from_parts(
                "substr(" ~ value ~ ", 1, 4)", "substr(" ~ value ~ ", 6, 2)", "substr(" ~ value ~ ", 9, 2)"
            ) }}
        when
            {{ value }}
            ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?$'
            then
                case
                    when
                        {{ date_from_parts(
                            "substr(" ~ value ~ ", 1, 4)", "substr(" ~ value ~ ", 6, 2)", "substr(" ~ value ~ ", 9, 2)"
                        ) }} is null
                        then null
                    when {{ value }} ~ '(Z|[+-][0-9]{2}:?[0-9]{2})$' and substr({{ value }}, 11) ~ '[Z+-]'
                        then {{ business_day("cast(" ~ value ~ " as timestamptz)") }}
                    else cast(substr({{ value }}, 1, 10) as date)
                end
        when {{ value }} ~ '^[0-9]{8}$'
            then {{ date_from_parts(
                "substr(" ~ value ~ ", 1, 4)", "substr(" ~ value ~ ", 5, 2)", "substr(" ~ value ~ ", 7, 2)"
            ) }}
        when {{ value }} ~ '^[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}$'
            then {{ date_from_parts(
                "split_part(" ~ value ~ ", '/', 1)",
                "split_part(" ~ value ~ ", '/', 2)",
                "split_part(" ~ value ~ ", '/', 3)"
            ) }}
        when {{ value }} ~ '^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$'
            then {{ date_from_parts(
                "split_part(" ~ value ~ ", '/', 3)",
                "split_part(" ~ value ~ ", '/', " ~ month_at ~ ")",
                "split_part(" ~ value ~ ", '/', " ~ day_at ~ ")"
            ) }}
        -- Days since 30 December 1899, as spreadsheets count them.
        when {{ value }} ~ '^[1-9][0-9]{4}(\.[0-9]{1,15})?$'
            then date '1899-12-30' + cast(floor(cast({{ value }} as numeric)) as integer)
    end
{%- endmacro %}
