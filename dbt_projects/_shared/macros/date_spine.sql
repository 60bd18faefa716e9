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
