{#- Money as people write it. docs/decisions/scout-what-a-file-tells-of-its-values.md says by which rules. -#}

{% macro is_plain_number(value) -%}
    {{ value }} ~ '^[+-]?[0-9]{1,30}(\.[0-9]{1,2})?$'
{%- endmacro %}

{% macro ascii_number(value) -%}
    {#-
        `12.-` has no cents and is not less than nothing. An Arabic decimal mark stays one whatever the file: zeros
        behind its figures leave no doubt.
    -#}
    {%- set plain -%}
        regexp_replace({{ ascii_text(value) }}, '([0-9])([.,٫]) ?--?(?![0-9])', '\1\200')
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

{% macro currency_symbols() -%}
    $€£¥₱₹₩฿₫
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

{% macro read_money(value, parts, mark, key) -%}
    {#- In hundredths, to which more decimals are rounded. -#}
    round({{ read_number(value, parts, mark, key) }}, 2)
{%- endmacro %}

{% macro currency_of_sign(written) -%}
    {#-
        A code, `$`, `¥` or `p` where several currencies share the sign, `?` for what is no currency, NULL for nothing. A
        small `p` may be of pesos, and is of pence to others.
    -#}
    case
        when {{ written }} is null then null
        when {{ written }} = 'p' then 'p'
        when upper({{ written }}) in ('{{ iso_currencies() | join("', '") }}') then upper({{ written }})
        {%- for sign, code in {
            "₱": "PHP", "P": "PHP", "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "฿": "THB", "₫": "VND", "RM": "MYR",
            "US$": "USD", "S$": "SGD", "SG$": "SGD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "HK$": "HKD",
            "NT$": "TWD", "NZ$": "NZD", "R$": "BRL", "MX$": "MXN",
        }.items() %}
        when upper({{ written }}) = '{{ sign }}' then '{{ code }}'
        {%- endfor %}
        when {{ written }} in ('$', '¥') then {{ written }}
        else '?'
    end
{%- endmacro %}

{% macro plain_currency(sign) -%}
    {#- NULL where several currencies share the sign. -#}
    case when {{ sign }} not in ('$', '¥', 'p') then {{ sign }} end
{%- endmacro %}

{% macro agrees_with_sign(code, sign) -%}
    case {{ sign }}
        when '$' then {{ code }} in (
            'USD', 'AUD', 'CAD', 'SGD', 'HKD', 'NZD', 'TWD', 'MXN', 'CLP', 'COP', 'ARS', 'BSD', 'BBD', 'BZD', 'BMD', 'BND',
            'FJD', 'GYD', 'JMD', 'LRD', 'NAD', 'SBD', 'SRD', 'TTD', 'XCD', 'UYU', 'DOP'
        )
        when '¥' then {{ code }} in ('JPY', 'CNY')
        when 'p' then {{ code }} = 'PHP'
        else {{ code }} = {{ sign }}
    end
{%- endmacro %}

{% macro agrees_with_signs(code, parts) -%}
    {#- What stands before and behind a figure, of which either may be nothing. -#}
    {{ agrees_with_sign(code, "coalesce(" ~ currency_of_sign(parts ~ "[3]") ~ ", " ~ code ~ ")") }}
    and {{ agrees_with_sign(code, "coalesce(" ~ currency_of_sign(parts ~ "[6]") ~ ", " ~ code ~ ")") }}
{%- endmacro %}

{% macro iso_currencies() -%}
    {{ return((
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP "
        ~ "CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF "
        ~ "IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD "
        ~ "MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB "
        ~ "RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD "
        ~ "UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
    ).split()) }}
{%- endmacro %}
