{% macro as_of_date() -%}
    {%- if var("as_of_date", none) -%}
        cast('{{ var("as_of_date") }}' as date)
    {%- else -%}
        {{ business_day_of_build() }}
    {%- endif -%}
{%- endmacro %}

{% macro business_day_of_build() -%}
    {#- run_started_at and not now(): every model of a build must end its windows on the same day. -#}
    cast(timestamptz '{{ run_started_at }}' at time zone '{{ var("business_timezone") }}' as date)
{%- endmacro %}

{% macro first_unfinished_day() -%}
    least({{ as_of_date() }} + 1, {{ business_day_of_build() }})
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

{% macro safe_date(value, order) -%}
    {#- `order` is what its file tells: mdy, dmy, conflicting, or NULL. Moments are taken to the business day. -#}
    case
        when {{ value }} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
            then {{ date_from_parts(
                "substr(" ~ value ~ ", 1, 4)", "substr(" ~ value ~ ", 6, 2)", "substr(" ~ value ~ ", 9, 2)"
            ) }}
        -- 24:00 is the midnight at the end of the day.
        when
            {{ value }}
            ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?|24:00(:00(\.0{1,9})?)?)( ?{{ zone() }})?$'
            then
                case
                    when
                        {{ date_from_parts(
                            "substr(" ~ value ~ ", 1, 4)", "substr(" ~ value ~ ", 6, 2)", "substr(" ~ value ~ ", 9, 2)"
                        ) }} is null
                        then null
                    when substr({{ value }}, 11) ~ '(Z|UTC|GMT|[+-][0-9:]+)$'
                        then {{ business_day("cast(" ~ without_fraction(value) ~ " as timestamptz)") }}
                    else cast(cast({{ without_fraction(value) }} as timestamp) as date)
                end
        when {{ value }} ~ '^[0-9]{8}$'
            then {{ date_from_parts(
                "substr(" ~ value ~ ", 1, 4)", "substr(" ~ value ~ ", 5, 2)", "substr(" ~ value ~ ", 7, 2)"
            ) }}
        when {{ value }} ~ '^[0-9]{4}([/.-])[0-9]{1,2}\1[0-9]{1,2}{{ clock() }}$'
            then {{ date_from_parts(
                numeric_date_part(value, 1), numeric_date_part(value, 2),
                "substring(" ~ value ~ " from '^[0-9]+.[0-9]+.([0-9]+)')"
            ) }}
        when {{ is_numeric_date(value) }}
            then
                case {{ numeric_order(value, order) }}
                    when 'dmy'
                        then {{ date_from_parts(
                            "substring(" ~ value ~ " from '^[0-9]+.[0-9]+.([0-9]{4})')",
                            numeric_date_part(value, 2), numeric_date_part(value, 1)
                        ) }}
                    when 'mdy'
                        then {{ date_from_parts(
                            "substring(" ~ value ~ " from '^[0-9]+.[0-9]+.([0-9]{4})')",
                            numeric_date_part(value, 1), numeric_date_part(value, 2)
                        ) }}
                end
        when {{ value }} ~* '^({{ weekday() }} +)?[0-9]{1,2}(st|nd|rd|th)?[ -][a-z]{3,9}[.]?,?[ -][0-9]{4}({{ clock() }}|{{ clock_of_zone() }})$'
            then {{ named_day(value, date_from_names(value, '^(?:' ~ weekday() ~ ' +)?([0-9]{1,2})(?:st|nd|rd|th)?[ -]([a-z]{3,9})[.]?,?[ -]([0-9]{4})', 3, 2, 1)) }}
        when {{ value }} ~* '^({{ weekday() }} +)?[a-z]{3,9}[.]?[ -][0-9]{1,2}(st|nd|rd|th)?,?[ -][0-9]{4}({{ clock() }}|{{ clock_of_zone() }})$'
            then {{ named_day(value, date_from_names(value, '^(?:' ~ weekday() ~ ' +)?([a-z]{3,9})[.]?[ -]([0-9]{1,2})(?:st|nd|rd|th)?,?[ -]([0-9]{4})', 3, 1, 2)) }}
        when {{ value }} ~* '^[0-9]{4}[ -][a-z]{3,9}[ -][0-9]{1,2}({{ clock() }}|{{ clock_of_zone() }})$'
            then {{ named_day(value, date_from_names(value, '^([0-9]{4})[ -]([a-z]{3,9})[ -]([0-9]{1,2})', 1, 2, 3)) }}
        -- Days since 30 December 1899, as spreadsheets count them.
        when {{ value }} ~ '^[1-9][0-9]{4}(\.[0-9]{1,15})?$'
            then date '1899-12-30' + cast(floor(cast({{ value }} as numeric)) as integer)
        -- Seconds and milliseconds since 1970.
        when {{ value }} ~ '^[1-9][0-9]{9}(\.[0-9]{1,9})?$'
            then {{ business_day("to_timestamp(floor(cast(" ~ value ~ " as numeric)))") }}
        when {{ value }} ~ '^[1-9][0-9]{12}$'
            then {{ business_day("to_timestamp(cast(" ~ value ~ " as double precision) / 1000)") }}
    end
{%- endmacro %}

{% macro without_fraction(moment) -%}
    {#- PostgreSQL rounds to microseconds: what is a little before midnight would be of the next day. -#}
    regexp_replace({{ moment }}, '\.[0-9]+', '')
{%- endmacro %}

{% macro fits_both_orders(value) -%}
    {{ numeric_date_part(value, 1) }} between 1 and 12
    and {{ numeric_date_part(value, 2) }} between 1 and 12
    and {{ numeric_date_part(value, 1) }} <> {{ numeric_date_part(value, 2) }}
{%- endmacro %}

{% macro numeric_order(value, order) -%}
    {#- Dots are written between day, month and year wherever they are written, unless their file tells otherwise. -#}
    case
        when {{ fits_both_orders(value) }}
            then coalesce({{ order }}, case when {{ value }} like '%.%.%' then 'dmy' else '{{ var("slash_date_order") }}' end)
        when {{ numeric_date_part(value, 2) }} > 12 then 'mdy'
        else 'dmy'
    end
{%- endmacro %}

{% macro date_from_names(value, pattern, year, month, day) -%}
    {%- set parts = "(regexp_match(lower(" ~ value ~ "), '" ~ pattern ~ "'))" -%}
    {%- set named -%}
        coalesce(
            array_position(
                array['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december'],
                {{ parts }}[{{ month }}]
            ),
            array_position(
                array['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
                case {{ parts }}[{{ month }}] when 'sept' then 'sep' else {{ parts }}[{{ month }}] end
            )
        )
    {%- endset -%}
    {{ date_from_parts(parts ~ "[" ~ year ~ "]", named, parts ~ "[" ~ day ~ "]") }}
{%- endmacro %}

{% macro weekday() -%}
(?:mon(?:day)?|tue(?:s|sday)?|wed(?:s|nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)[.]?,?
{%- endmacro %}

{% macro zone() -%}
(Z|UTC|GMT|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)
{%- endmacro %}

{% macro clock_of_zone() -%}
,? +([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)? ?{{ zone() }}
{%- endmacro %}

{% macro named_day(value, day) -%}
    {#- Taken to the business day where a clock has a zone; NULL where the word before it names another day of the week. -#}
    {%- set weekday = "substring(lower(" ~ value ~ ") from '^(mon|tue|wed|thu|fri|sat|sun)')" -%}
    {%- set clock = "regexp_match(upper(" ~ value ~ "), '([0-9]+:[0-9]+(?::[0-9]+)?)(?:[.][0-9]+)? ?([A-Z]+|[+-][0-9:]+)$')" -%}
    (
        select
            case
                when {{ value }} ~* ':[0-9.]+ ?{{ zone() }}$'
                    then {{ business_day(
                        "cast(to_char(named.day, 'YYYY-MM-DD ') || array_to_string(" ~ clock ~ ", ' ') as timestamptz)"
                    ) }}
                else named.day
            end
        from (select {{ day }} as day) as named
        where {{ weekday }} is null or {{ weekday }} = to_char(named.day, 'dy')
    )
{%- endmacro %}

{% macro why_no_date(value, order) -%}
    case
        when {{ is_numeric_date(value) }} and {{ order }} = 'conflicting'
            then case when {{ fits_both_orders(value) }} then 'conflicting_date_order' else 'invalid_date' end
        -- A year of two digits.
        when {{ value }} ~ '^[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2}(,? |$)' then 'ambiguous_date'
        when {{ value }} ~* '^([0-9]{1,2}[ -][a-z]{3,9}|[a-z]{3,9} [0-9]{1,2}),?[ -][0-9]{2}$' then 'ambiguous_date'
        else 'invalid_date'
    end
{%- endmacro %}
