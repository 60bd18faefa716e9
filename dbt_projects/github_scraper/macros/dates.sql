{% macro as_of_date() -%}
    {%- if var("as_of_date", none) -%}
        cast('{{ var("as_of_date") }}' as date)
    {%- else -%}
        {{ shared.build_day() }}
    {%- endif -%}
{%- endmacro %}

{% macro first_unfinished_day() -%}
    least({{ shared.add_days(as_of_date(), 1) }}, {{ shared.build_day() }})
{%- endmacro %}

{% macro is_in_trailing_days(days) -%}
    (
        is_date_plausible
        and commit_day > {{ shared.add_days(as_of_date(), '-' ~ days) }}
        and commit_day <= {{ as_of_date() }}
    )
{%- endmacro %}

{% macro days_since(day) -%}
    case
        when {{ day }} <= {{ as_of_date() }}
            then {{ shared.days_between(day, as_of_date()) }}
        when {{ day }} > {{ as_of_date() }} then 0
    end
{%- endmacro %}

{% macro utc_day(moment) -%}
    {{ return(adapter.dispatch('utc_day', 'github_scraper')(moment)) }}
{%- endmacro %}

{% macro postgres__utc_day(moment) -%}
    cast({{ moment }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro bigquery__utc_day(moment) -%}
    date({{ moment }})
{%- endmacro %}

{% macro is_date_plausible(commit_date, is_date_clamped, created_at) -%}
    (
        not {{ is_date_clamped }}
        and {{ commit_date }} >= {{ moment(var('earliest_plausible_date') ~ ' 00:00:00') }}
        and {{ commit_date }} <= {{ a_day_after(created_at) }}
    )
{%- endmacro %}

{% macro a_day_after(moment) -%}
    {{ return(adapter.dispatch('a_day_after', 'github_scraper')(moment)) }}
{%- endmacro %}

{% macro postgres__a_day_after(moment) -%}
    ({{ moment }} + interval '24 hours')
{%- endmacro %}

{% macro bigquery__a_day_after(moment) -%}
    timestamp_add({{ moment }}, interval 24 hour)
{%- endmacro %}

{% macro moment(text) -%}
    {#- An instant of UTC as a literal. -#}
    {{ return(adapter.dispatch('moment', 'github_scraper')(text)) }}
{%- endmacro %}

{% macro postgres__moment(text) -%}
    cast('{{ text }}+00' as timestamptz)
{%- endmacro %}

{% macro bigquery__moment(text) -%}
    timestamp('{{ text }}+00')
{%- endmacro %}

{% macro day_text(day) -%}
    {{ return(adapter.dispatch('day_text', 'github_scraper')(day)) }}
{%- endmacro %}

{% macro postgres__day_text(day) -%}
    to_char({{ day }}, 'YYYY-MM-DD')
{%- endmacro %}

{% macro bigquery__day_text(day) -%}
    cast({{ day }} as string)
{%- endmacro %}
