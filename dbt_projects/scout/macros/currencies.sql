{#- Currencies: their signs, and whose amounts have no or three decimals. docs/decisions/scout-money-signs.md shows both lists. -#}

{% macro currency_signs() -%}
    {#- Of each sign the one currency that it stands for. Letters may be small or capital. -#}
    {{ return({
        "₱": "PHP", "€": "EUR", "₹": "INR", "원": "KRW", "฿": "THB", "₫": "VND",
        "đ": "VND", "VNĐ": "VND", "円": "JPY", "₺": "TRY", "₽": "RUB", "₴": "UAH", "₪": "ILS", "₦": "NGN",
        "₲": "PYG", "₵": "GHS", "₸": "KZT", "₼": "AZN", "₾": "GEL", "₮": "MNT", "₭": "LAK", "֏": "AMD", "৳": "BDT",
        "៛": "KHR",
        "RM": "MYR", "Rp": "IDR", "Kč": "CZK", "Kc": "CZK", "zł": "PLN", "zl": "PLN", "Ft": "HUF", "R": "ZAR",
        "лв": "BGN", "S/": "PEN", "US$": "USD", "S$": "SGD", "SG$": "SGD", "A$": "AUD", "AU$": "AUD",
        "CA$": "CAD", "HK$": "HKD", "NT$": "TWD", "NZ$": "NZD", "R$": "BRL", "MX$": "MXN",
    }) }}
{%- endmacro %}

{% macro shared_signs() -%}
    {#- Of each sign, as it is kept, the currencies that share it; small letters may be of a measure. -#}
    {{ return({
        "$": (
            "USD AUD CAD SGD HKD NZD TWD MXN CLP COP ARS BSD BBD BZD BMD BND CUP DOP FJD GYD JMD KYD LRD NAD SBD SRD TTD "
            ~ "UYU XCD"
        ).split(),
        "¥": ["JPY", "CNY"],
        "kr": ["SEK", "NOK", "DKK", "ISK"],
        "₨": ["INR", "PKR", "LKR", "NPR", "MUR", "SCR"],
        "Rs": ["INR", "PKR", "LKR", "NPR", "MUR", "SCR"],
        "lei": ["RON", "MDL"],
        "C$": ["CAD", "NIO"],
        "£": ["GBP", "EGP", "FKP", "GIP", "LBP", "SDG", "SHP", "SSP", "SYP"],
        "₩": ["KRW", "KPW"],
        "₡": ["CRC", "SVC"],
        "P": ["PHP", "BWP"],
        "p": ["PHP", "BWP"],
        "ft": ["HUF"],
        "rm": ["MYR"],
    }) }}
{%- endmacro %}

{% macro usual_currencies() -%}
    {#- Of signs that others share, the currency that is meant where nothing else is said. -#}
    {{ return({"£": "GBP", "₩": "KRW", "₡": "CRC", "P": "PHP"}) }}
{%- endmacro %}

{% macro spellings(sign) -%}
    {{ return([sign] if sign in ["P", "p", "ft", "rm", "R"] else [sign, sign | lower, sign | upper, sign | capitalize]) }}
{%- endmacro %}

{% macro meanings_of_signs() -%}
    {#-
        In JSON, by each way to write a sign: what upper() makes of letters beyond ASCII is for the database to say. The
        last of two holds.
    -#}
    {%- set meanings = [] -%}
    {%- for sign, code in currency_signs().items() -%}
        {%- for spelling in spellings(sign) -%}
            {%- do meanings.append('"' ~ spelling ~ '": "' ~ code ~ '"') -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for code in shared_signs()["$"] -%}
        {%- do meanings.append('"' ~ code ~ '$": "' ~ code ~ '"') -%}
    {%- endfor -%}
    {%- for sign in shared_signs() -%}
        {%- for spelling in spellings(sign) -%}
            {%- do meanings.append('"' ~ spelling ~ '": "' ~ sign ~ '"') -%}
        {%- endfor -%}
    {%- endfor -%}
    jsonb '{{ "{" ~ meanings | join(", ") ~ "}" }}'
{%- endmacro %}

{% macro currency_symbols() -%}
    $€£¥₱₹₩฿₫₺₽₴₪₦₡₲₵₸₼₾₮₭֏৳៛₨
{%- endmacro %}

{% macro whole_unit_currencies() -%}
    {#- ISO 4217 gives those of the first row no minor unit. Those of the second have one on paper, of which no coin is left. -#}
    {{ return((
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF "
        ~ "AFN ALL AMD COP CRC HUF IDR IQD IRR KHR KPW LAK LBP MGA MMK MNT RSD SOS SYP TZS UZS YER"
    ).split()) }}
{%- endmacro %}

{% macro is_whole_unit(currency) -%}
    {{ currency }} in ('{{ whole_unit_currencies() | join("', '") }}')
{%- endmacro %}

{% macro has_three_decimals(currency) -%}
    {#- As ISO 4217 gives them; of the dinar of Iraq, which it has with these, no coin is left. -#}
    {{ currency }} in ('BHD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND')
{%- endmacro %}

{% macro currency_of_sign(written, given) -%}
    {#-
        A code, a sign of `shared_signs`, `?` for what is no currency, NULL for nothing. Codes have capital letters, as
        `5 all` and `5 top` are none; in small ones only that which is given and the base currency count.
    -#}
    case
        when {{ written }} is null then null
        when {{ written }} in ('{{ iso_currencies() | join("', '") }}') then {{ written }}
        when upper({{ written }}) in ({{ given }}, '{{ var("base_currency") }}') then upper({{ written }})
        else coalesce({{ meanings_of_signs() }} ->> {{ written }}, '?')
    end
{%- endmacro %}

{% macro plain_currency(sign) -%}
    {#- NULL where several currencies share the sign. -#}
    case when {{ sign }} not in ('{{ shared_signs() | join("', '") }}') then {{ sign }} end
{%- endmacro %}

{% macro usual_currency(sign) -%}
    case {{ sign }}
        {%- for shared, code in usual_currencies().items() %}
        when '{{ shared }}' then '{{ code }}'
        {%- endfor %}
    end
{%- endmacro %}

{% macro currency_of_row(given, key) -%}
    {#- What the column says, else the signs beside the amount; NULL where they leave it open. -#}
    {%- set signs = [given, key ~ "_sign_before", key ~ "_sign_behind"] -%}
    coalesce(
        {%- for sign in signs %}
        {{ plain_currency(sign) }},
        {%- endfor %}
        {%- for sign in signs %}
        {{ usual_currency(sign) }},
        {%- endfor %}
        case when num_nonnulls({{ signs | join(", ") }}) = 0 then '{{ var("base_currency") }}' end
    )
{%- endmacro %}

{% macro given_currency(text) -%}
    {#- A column of currencies may hold signs; what is neither a sign nor a code stays as it is. No measure stands there. -#}
    {%- set word = "rtrim(" ~ ascii_text(text) ~ ", '.')" -%}
    case
        when upper({{ word }}) in ('{{ iso_currencies() | join("', '") }}') then upper({{ word }})
        else coalesce(
            {{ meanings_of_signs() }} ->> case when {{ word }} in ('ft', 'rm') then upper({{ word }}) else {{ word }} end,
            upper({{ text }})
        )
    end
{%- endmacro %}

{% macro agrees_with_sign(code, sign) -%}
    case {{ sign }}
        {%- for shared, codes in shared_signs().items() %}
        when '{{ shared }}' then {{ code }} in ('{{ codes | join("', '") }}')
        {%- endfor %}
        else {{ code }} = {{ sign }}
    end
{%- endmacro %}

{% macro agrees_with_signs(code, key) -%}
    {#- What stands before and behind a figure, of which either may be nothing. -#}
    {{ agrees_with_sign(code, "coalesce(" ~ key ~ "_sign_before, " ~ code ~ ")") }}
    and {{ agrees_with_sign(code, "coalesce(" ~ key ~ "_sign_behind, " ~ code ~ ")") }}
{%- endmacro %}

{% macro signs_of(key, given) -%}
    {{ currency_of_sign(key ~ "_parts[3]", given) }} as {{ key }}_sign_before,
    {{ currency_of_sign(key ~ "_parts[6]", given) }} as {{ key }}_sign_behind
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
