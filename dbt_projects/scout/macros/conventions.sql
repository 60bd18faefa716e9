{#- How one file writes dates and numbers. What fits one reading only tells it; what fits two is read by it. -#}

{% macro clock() -%}
(,?[Tt ]+([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?( ?[AaPp]\.?[Mm]\.?)?)?
{%- endmacro %}

{% macro is_numeric_date(value) -%}
    {{ value }} ~ '^[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{4}{{ clock() }}$'
{%- endmacro %}

{% macro numeric_date_part(value, part) -%}
    cast(split_part(regexp_replace({{ value }}, '[/.]', '-', 'g'), '-', {{ part }}) as integer)
{%- endmacro %}

{% macro has_decimals(value, mark, grouping) -%}
    {#- Beyond doubt. A group of thousands begins with no 0. A mark right behind letters, as in `PHP.50`, tells nothing. -#}
    {{ value }} ~ ('^[^0-9.,]{0,5}('
    || '[0-9]{0,30}{{ mark }}([0-9]{1,2}|[0-9]{4,30})|0[0-9]{0,30}{{ mark }}[0-9]{3}|[0-9]{4,30}{{ mark }}[0-9]{3}'
    || '|[1-9][0-9]{0,2}({{ grouping }}[0-9]{3})+{{ mark }}[0-9]{1,30}'
    || '|[1-9][0-9]{0,2}([ ''][0-9]{3})+{{ mark }}[0-9]{1,30}'
    || ')[^0-9.,]{0,5}$')
    and {{ value }} !~ '^[^0-9.,]{0,4}[^0-9.,{{ currency_symbols() }} +(-] {0,4}[.,]'
{%- endmacro %}

{% macro only_fits_decimal(value, mark, grouping) -%}
    (
        ({{ has_decimals(value, mark, grouping) }})
        or {{ value }} ~ '^[^0-9.,]{0,5}[1-9][0-9]{0,2}({{ grouping }}[0-9]{3}){2,9}[^0-9.,]{0,5}$'
    )
{%- endmacro %}

{% macro tells_mark_of_currency(key, mark, grouping) -%}
    {#-
        Groups tell nothing where amounts have no decimals; there a fraction as a number of JSON tells that texts have a
        point, too. Nothing is no evidence, nor is an amount of another currency.
    -#}
    (
        {{ agrees_with_signs("currency", key) }}
        and (
            (
                {{ key }}_written ~ '[1-9]'
                and {{ only_fits_decimal(key ~ "_written", mark, grouping) }}
                and ({{ has_three_decimals("currency") }} or {{ has_decimals(key ~ "_written", mark, grouping) }})
            )
            {%- if mark == "\\." %}
            or ({{ is_whole_unit("currency") }} and {{ key }}_is_fraction)
            {%- endif %}
        )
    )
{%- endmacro %}

{% macro figure_that_tells(value) -%}
    {#- In digits of any script; an Arabic decimal mark is that of no file, and `0.000` is of a program. -#}
    case
        when {{ value }} ~ '^[^0-9]{0,5}0[.,]0{3,30}[^0-9]{0,5}$' then null
        when octet_length({{ value }}) = length({{ value }}) and {{ value }} !~ '-|[A-Za-z]\.|\.( |$)' then {{ value }}
        when {{ value }} not like '%٫%' then {{ ascii_number(value) }}
    end
{%- endmacro %}

{% macro conventions_of_files(payloads, money_keys, currency_key=none, date_key=none) -%}
    {#-
        A file is what came under one name at one moment; a delivery is a file. `date_order` and `decimal_mark` are NULL
        where nothing tells. `point_currencies` and `comma_currencies` list those whose decimals have a mark of their own,
        see `mark_of_money`. The first key is of the amount, whose sign may tell the currency; without a key of currencies
        all is of the base currency.
    -#}
given as (

    select
        coalesce(source_filename, '') as source_filename,
        ingested_at,
        raw_id,
        {%- for key in money_keys %}
        {{ string_of(key) }} as {{ key }}_given,
        coalesce(jsonb_typeof(raw_data -> '{{ key }}') = 'number' and raw_data ->> '{{ key }}' ~ '\.[0-9]*[1-9]', false)
            as {{ key }}_is_fraction,
        {%- endfor %}
        {{ string_of(date_key) if date_key else "cast(null as text)" }} as date_given,
        {{ payload_text(currency_key) if currency_key else "'" ~ var("base_currency") ~ "'" }} as currency_text
    from {{ payloads }}
    offset 0

),

written as (

    select
        source_filename,
        ingested_at,
        raw_id,
        {%- for key in money_keys %}
        {{ key }}_is_fraction,
        {{ figure_that_tells(key ~ "_given") }} as {{ key }}_written,
        {{ money_parts(key ~ "_given") }} as {{ key }}_parts,
        {%- endfor %}
        {{ ascii_text("date_given") }} as date_told,
        {{ given_currency("currency_text") }} as currency_given
    from given
    offset 0

),

signed as (

    select
        *,
        {%- for key in money_keys %}
        {{ signs_of(key, "currency_given") }},
        {%- endfor %}
        case when {{ is_numeric_date("date_told") }} then date_told end as date_written
    from written
    offset 0

),

told as (

    select
        *,
        {{ currency_of_row("currency_given", money_keys[0]) }} as currency
    from signed
    offset 0

),

told_by_files as (

    select
        source_filename,
        ingested_at,
        max(raw_id) as last_raw_id,
        count(*) filter (
            where
            {{ numeric_date_part("date_written", 1) }} between 13 and 31
            and {{ numeric_date_part("date_written", 2) }} between 1 and 12
        ) as day_first_count,
        count(*) filter (
            where
            {{ numeric_date_part("date_written", 2) }} between 13 and 31
            and {{ numeric_date_part("date_written", 1) }} between 1 and 12
        ) as month_first_count,
        count(*) filter (
            where
            {%- for key in money_keys %}
            {{ "or " if not loop.first }}(
                ({{ key }}_written like '%,%' or {{ key }}_written like '%.%.%')
                and {{ only_fits_decimal(key ~ "_written", ",", "\\.") }}
            )
            {%- endfor %}
        ) as decimal_comma_count,
        count(*) filter (
            where
            {%- for key in money_keys %}
            {{ "or " if not loop.first }}{{ key }}_written ~ '^[0-9]+\.[0-9]{1,2}$'
            or (
                ({{ key }}_written like '%.%' or {{ key }}_written like '%,%,%')
                and {{ only_fits_decimal(key ~ "_written", "\\.", ",") }}
            )
            {%- endfor %}
        ) as decimal_point_count,
        {%- for name, mark, grouping in [("point", "\\.", ","), ("comma", ",", "\\.")] %}
        string_agg(distinct currency, ' ') filter (
            where
            ({{ is_whole_unit("currency") }} or {{ has_three_decimals("currency") }})
            and (
                {%- for key in money_keys %}
                {{ "or " if not loop.first }}{{ tells_mark_of_currency(key, mark, grouping) }}
                {%- endfor %}
            )
        ) as {{ name }}_currencies{{ "," if not loop.last }}
        {%- endfor %}
    from told
    group by source_filename, ingested_at

),

conventions as (

    select
        *,
        case
            when day_first_count > 0 and month_first_count > 0 then 'conflicting'
            when day_first_count > 0 then 'dmy'
            when month_first_count > 0 then 'mdy'
        end as date_order,
        case
            when decimal_comma_count > 0 and decimal_point_count > 0 then 'conflicting'
            when decimal_comma_count > 0 then ','
            when decimal_point_count > 0 then '.'
        end as decimal_mark
    from told_by_files

)
{%- endmacro %}
