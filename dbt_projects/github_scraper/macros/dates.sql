{% macro as_of_date() -%}
    {#- run_started_at and not now(): every model of a build must end its windows on the same day. -#}
    cast('{{ var("as_of_date", none) or (run_started_at | string)[:10] }}' as date)
{%- endmacro %}

{% macro is_in_trailing_days(days) -%}
    (
        is_date_plausible
        and commit_day > {{ as_of_date() }} - {{ days }}
        and commit_day <= {{ as_of_date() }}
    )
{%- endmacro %}

{% macro utc_day(moment) -%}
    cast({{ moment }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro is_date_plausible(commit_date, is_date_clamped, created_at) -%}
    (
        not {{ is_date_clamped }}
        and {{ commit_date }} >= cast('{{ var("earliest_plausible_date") }} 00:00:00+00' as timestamptz)
        and {{ commit_date }} <= {{ created_at }} + interval '1 day'
    )
{%- endmacro %}
