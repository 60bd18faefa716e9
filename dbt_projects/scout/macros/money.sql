{#- Money as people write it. docs/decisions/scout-what-a-file-tells-of-its-values.md says by which rules. -#}

{% macro is_plain_number(value) -%}
    {{ value }} ~ '^[+-]?[0-9]{1,30}(\.[0-9]{1,2})?$'
{%- endmacro %}

{% macro ascii_number(value) -%}
    {#-
        `12.-` has no cents and is not less than nothing; the points of `12 kr.`, `Rp. 12` and `Rp.12.000` end words.
        An Arabic decimal mark stays one whatever the file: zeros behind its figures leave no doubt.
    -#}
    {%- set plain -%}
        regexp_replace(
            regexp_replace({{ ascii_text(value) }}, '([0-9])([.,٫]) ?--?(?![0-9])', '\1\200'),
            '((?:^|[0-9] ?|[(+-] ?)[^0-9.,+() ''-]{1,4})\.(?= +[0-9]|[0-9]+[.,][0-9]|[0-9]{1,3}[ ''][0-9]{3}|$)', '\1'
        )
    {%- endset -%}
    case when {{ value }} like '%٫%' then regexp_replace({{ plain }}, '٫([0-9]*)', '.\10000') else {{ plain }} end
{%- endmacro %}

{% macro money_parts(value) -%}
    {#- Opening bracket, sign, currency, sign, figure, currency, sign, closing bracket. -#}
    case
        when not ({{ is_plain_number(value) }})
            then regexp_match(
                {{ ascii_number(value) }},
                '^(\(?) *([+-]?) *([^0-9.,+() ''-]{1,4})? *([+-]?) *([0-9][0-9., '']*|[.,][0-9]+) *([^0-9.,+() ''-]{1,4})? *([+-]?) *(\)?)$'
            )
    end
{%- endmacro %}

{% macro money_figure(parts) -%}
    {#- Spaces and apostrophes part thousands, which begin with no 0; where they do not, nothing is left. -#}
    case
        when rtrim({{ parts }}[5]) !~ '[ '']' then rtrim({{ parts }}[5])
        when rtrim({{ parts }}[5]) ~ '^[1-9][0-9]{0,2}( [0-9]{3})+([.,][0-9]{0,30})?$' then replace({{ parts }}[5], ' ', '')
        when rtrim({{ parts }}[5]) ~ '^[1-9][0-9]{0,2}(''[0-9]{3})+([.,][0-9]{0,30})?$'
            then replace(rtrim({{ parts }}[5]), '''', '')
    end
{%- endmacro %}

{% macro has_two_meanings(parts) -%}
    {#- In `PHP.500` the point may end the code or begin the decimals. -#}
    ({{ parts }}[3] ~ '[^{{ currency_symbols() }}]$' and {{ parts }}[5] ~ '^[.,]')
{%- endmacro %}

{% macro fits_both_marks(figure) -%}
    {{ figure }} ~ '^[1-9][0-9]{0,2}[.,][0-9]{3}$'
{%- endmacro %}

{% macro read_figure(figure, mark) -%}
    case
        when {{ figure }} ~ '^[0-9]{1,30}\.?$' then cast(rtrim({{ figure }}, '.') as numeric)
        when {{ fits_both_marks(figure) }}
            then
                case
                    when {{ mark }} = 'none' then cast(translate({{ figure }}, '.,', '') as numeric)
                    when {{ mark }} = 'either' then cast(replace({{ figure }}, ',', '.') as numeric)
                    when {{ mark }} = '.' then cast(replace({{ figure }}, ',', '') as numeric)
                    when {{ mark }} = ',' then cast(replace(replace({{ figure }}, '.', ''), ',', '.') as numeric)
                end
        when {{ figure }} ~ '^[0-9]{0,30}\.[0-9]{1,30}$' or {{ figure }} ~ '^[1-9][0-9]{0,2}(,[0-9]{3}){1,9}(\.[0-9]{0,30})?$'
            then cast(rtrim(replace({{ figure }}, ',', ''), '.') as numeric)
        -- Lakhs and crores.
        when {{ figure }} ~ '^[1-9][0-9]?(,[0-9]{2}){1,9},[0-9]{3}(\.[0-9]{0,30})?$'
            then cast(rtrim(replace({{ figure }}, ',', ''), '.') as numeric)
        when {{ figure }} ~ '^[0-9]{0,30},[0-9]{1,30}$' or {{ figure }} ~ '^[1-9][0-9]{0,2}(\.[0-9]{3}){1,9}(,[0-9]{0,30})?$'
            then cast(rtrim(replace(replace({{ figure }}, '.', ''), ',', '.'), '.') as numeric)
    end
{%- endmacro %}

{% macro read_number(value, parts, mark, key) -%}
    {#- NULL where it is none. A JSON number has a decimal point wherever it stands. -#}
    case
        when {{ is_plain_number(value) }} then cast({{ value }} as numeric)
        when ({{ parts }}[1] = '(') <> ({{ parts }}[8] = ')') then null
        when {{ has_two_meanings(parts) }} then null
        when length({{ parts }}[1] || {{ parts }}[2] || {{ parts }}[4] || {{ parts }}[7]) > 1 then null
        else
            case when '-' in ({{ parts }}[2], {{ parts }}[4], {{ parts }}[7]) or {{ parts }}[1] = '(' then -1 else 1 end
            * {{ read_figure(
                money_figure(parts),
                "case when jsonb_typeof(raw_data -> '" ~ key ~ "') = 'number' then '.' else " ~ mark ~ " end"
            ) }}
    end
{%- endmacro %}

{% macro mark_of_money(mark, currency) -%}
    {#-
        Amounts of some currencies have no decimals and those of others three, by `none` or `either` mark, unless their
        file shows a mark of that currency.
    -#}
    case
        when not ({{ is_whole_unit(currency) }} or {{ has_three_decimals(currency) }}) then {{ mark }}
        when strpos(point_currencies, {{ currency }}) > 0 and strpos(comma_currencies, {{ currency }}) > 0 then 'conflicting'
        when strpos(point_currencies, {{ currency }}) > 0 then '.'
        when strpos(comma_currencies, {{ currency }}) > 0 then ','
        when {{ is_whole_unit(currency) }} then 'none'
        else 'either'
    end
{%- endmacro %}

{% macro read_money(value, parts, mark, key) -%}
    {#- In hundredths, to which more decimals are rounded. -#}
    round({{ read_number(value, parts, mark, key) }}, 2)
{%- endmacro %}
