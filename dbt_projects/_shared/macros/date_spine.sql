{% macro date_spine(first_date, last_date) -%}
    {{ return(adapter.dispatch('date_spine', 'shared')(first_date, last_date)) }}
{%- endmacro %}

{% macro postgres__date_spine(first_date, last_date) -%}
    (
        select cast(spine.moment as date) as date_day
        from
            generate_series(
                cast({{ first_date }} as timestamp),
                cast({{ last_date }} as timestamp),
                interval '1 day'
            ) as spine (moment)
    )
{%- endmacro %}

{% macro duckdb__date_spine(first_date, last_date) -%}
    (
        select cast(spine.moment as date) as date_day
        from
            unnest(
                generate_series(
                    cast({{ first_date }} as timestamp),
                    cast({{ last_date }} as timestamp),
                    interval 1 day
                )
            ) as spine (moment)
    )
{%- endmacro %}

{% macro bigquery__date_spine(first_date, last_date) -%}
    (
        select date_day
        from unnest(
            generate_date_array(cast({{ first_date }} as date), cast({{ last_date }} as date))
        ) as date_day
    )
{%- endmacro %}

{% macro cross_join_days(first_date, last_date, alias) -%}
    {{ return(adapter.dispatch('cross_join_days', 'shared')(first_date, last_date, alias)) }}
{%- endmacro %}

{% macro default__cross_join_days(first_date, last_date, alias) -%}
    cross join lateral {{ shared.date_spine(first_date, last_date) }} as {{ alias }}
{%- endmacro %}

{% macro bigquery__cross_join_days(first_date, last_date, alias) -%}
    cross join unnest(
        array(
            select as struct date_day
            from unnest(generate_date_array({{ first_date }}, {{ last_date }})) as date_day
        )
    ) as {{ alias }}
{%- endmacro %}
