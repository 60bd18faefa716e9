{#- How one file writes dates and numbers. What fits one reading only tells it; what fits two is read by it. -#}

{% macro clock() -%}
([Tt ]+([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?( ?[AaPp]\.?[Mm]\.?)?)?
{%- endmacro %}

{% macro is_numeric_date(value) -%}
    {{ value }} ~ '^[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{4}{{ clock() }}$'
{%- endmacro %}

{% macro numeric_date_part(value, part) -%}
    cast(split_part(regexp_replace({{ value }}, '[/.]', '-', 'g'), '-', {{ part }}) as integer)
{%- endmacro %}

{% macro only_fits_decimal(value, mark, grouping) -%}
    {#- A group of thousands begins with no 0. A mark right behind letters, as in `PHP.50`, tells nothing. -#}
    {{ value }} ~ ('^[^0-9.,]{0,5}('
    || '[0-9]{0,30}{{ mark }}([0-9]{1,2}|[0-9]{4,30})|0[0-9]{0,30}{{ mark }}[0-9]{3}|[0-9]{4,30}{{ mark }}[0-9]{3}'
    || '|[1-9][0-9]{0,2}({{ grouping }}[0-9]{3})+{{ mark }}[0-9]{1,30}|[1-9][0-9]{0,2}({{ grouping }}[0-9]{3}){2,9}'
    || '|[1-9][0-9]{0,2}([ ''][0-9]{3})+{{ mark }}[0-9]{1,30}'
    || ')[^0-9.,]{0,5}$')
    and {{ value }} !~ '^[^0-9.,]{0,4}[^0-9.,{{ currency_symbols() }} +(-] {0,4}[.,]'
{%- endmacro %}

{% macro has_thousandths(value) -%}
    {#- Three figures behind a mark which are no group of thousands. -#}
    {{ value }} ~ '^[^0-9.,]{0,5}(([0-9]{4,30}|0[0-9]{0,30})[.,][0-9]{3}|[1-9][0-9]{0,2}((,[0-9]{3})+\.|(\.[0-9]{3})+,|([ ''][0-9]{3})+[.,])[0-9]{3})[^0-9.,]{0,5}$'
{%- endmacro %}

{% macro figure_that_tells(value) -%}
    {#- In digits of any script; an Arabic decimal mark is that of no file. -#}
    case
        when octet_length({{ value }}) = length({{ value }}) and {{ value }} !~ '-|\.( |$)' then {{ value }}
        when {{ value }} not like '%٫%' then {{ ascii_number(value) }}
    end
{%- endmacro %}

{% macro conventions_of_files(payloads, money_keys, currency, date_key=none) -%}
    {#-
        A file is what came under one name at one moment; a delivery is a file. `date_order` and `decimal_mark` are NULL
        where nothing tells. `whole_unit_decimals_count` is of figures that write decimals where the currency has none.
    -#}
given as (

    select
        coalesce(source_filename, '') as source_filename,
        ingested_at,
        raw_id,
        {%- for key in money_keys %}
        case when jsonb_typeof(raw_data -> '{{ key }}') = 'string' then btrim(raw_data ->> '{{ key }}', {{ blanks() }}) end
            as {{ key }}_given,
        {%- endfor %}
        {{ "btrim(raw_data ->> '" ~ date_key ~ "', " ~ blanks() ~ ")" if date_key else "cast(null as text)" }} as date_given,
        {{ currency }} as currency
    from {{ payloads }}
    offset 0

),

written as (

    select
        source_filename,
        ingested_at,
        raw_id,
        {%- for key in money_keys %}
        {{ figure_that_tells(key ~ "_given") }} as {{ key }}_written,
        {%- endfor %}
        {{ ascii_text("date_given") }} as date_told,
        currency
    from given
    offset 0

),

dated as (

    select
        *,
        case when {{ is_numeric_date("date_told") }} then date_told end as date_written
    from written

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
        count(*) filter (
            where
            {{ is_whole_unit("currency") }}
            and (
                {%- for key in money_keys %}
                {{ "or " if not loop.first }}{{ has_thousandths(key ~ "_written") }}
                {%- endfor %}
            )
        ) as whole_unit_decimals_count
    from dated
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
