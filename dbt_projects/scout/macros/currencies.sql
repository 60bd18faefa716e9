{#- Currencies: their signs, and whose amounts have no decimals. docs/decisions/scout-money-signs.md shows both lists. -#}

{% macro currency_signs() -%}
    {#- Of each sign the one currency that it stands for. Letters may be small or capital. -#}
    {{ return({
        "₱": "PHP", "P": "PHP", "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "원": "KRW", "฿": "THB", "₫": "VND",
        "đ": "VND", "VNĐ": "VND", "円": "JPY", "₺": "TRY", "₽": "RUB", "₴": "UAH", "₪": "ILS", "₦": "NGN", "₡": "CRC",
        "₲": "PYG", "₵": "GHS", "₸": "KZT", "₼": "AZN", "₾": "GEL", "₮": "MNT", "₭": "LAK", "֏": "AMD", "৳": "BDT",
        "៛": "KHR",
        "RM": "MYR", "Rp": "IDR", "Kč": "CZK", "Kc": "CZK", "zł": "PLN", "zl": "PLN", "Ft": "HUF", "lei": "RON",
        "лв": "BGN", "S/": "PEN", "US$": "USD", "S$": "SGD", "SG$": "SGD", "A$": "AUD", "AU$": "AUD", "C$": "CAD",
        "CA$": "CAD", "HK$": "HKD", "NT$": "TWD", "NZ$": "NZD", "R$": "BRL", "MX$": "MXN",
    }) }}
{%- endmacro %}

{% macro shared_signs() -%}
    {#- Of each sign, as it is kept, the currencies that share it. -#}
    {{ return({
        "$": (
            "USD AUD CAD SGD HKD NZD TWD MXN CLP COP ARS BSD BBD BZD BMD BND FJD GYD JMD LRD NAD SBD SRD TTD XCD UYU DOP"
        ).split(),
        "¥": ["JPY", "CNY"],
        "kr": ["SEK", "NOK", "DKK", "ISK"],
        "₨": ["INR", "PKR", "LKR", "NPR", "MUR", "SCR"],
        "Rs": ["INR", "PKR", "LKR", "NPR", "MUR", "SCR"],
        "p": ["PHP"],
    }) }}
{%- endmacro %}

{% macro meanings_of_signs() -%}
    {#- In JSON, by each way to write a sign: what upper() makes of letters beyond ASCII is for the database to say. -#}
    {%- set meanings = [] -%}
    {%- for sign, code in currency_signs().items() -%}
        {%- for spelling in [sign, sign | lower, sign | upper, sign | capitalize] -%}
            {%- do meanings.append('"' ~ spelling ~ '": "' ~ code ~ '"') -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for sign in shared_signs() -%}
        {%- for spelling in ([sign] if sign == "p" else [sign, sign | lower, sign | upper, sign | capitalize]) -%}
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

{% macro currency_of_sign(written) -%}
    {#-
        A code, a sign of `shared_signs`, `?` for what is no currency, NULL for nothing. A small `p` may be of pesos, and is
        of pence to others.
    -#}
    case
        when {{ written }} is null then null
        when upper({{ written }}) in ('{{ iso_currencies() | join("', '") }}') then upper({{ written }})
        else coalesce({{ meanings_of_signs() }} ->> {{ written }}, '?')
    end
{%- endmacro %}

{% macro plain_currency(sign) -%}
    {#- NULL where several currencies share the sign. -#}
    case when {{ sign }} not in ('{{ shared_signs() | join("', '") }}') then {{ sign }} end
{%- endmacro %}

{% macro given_currency(text) -%}
    {#- A column of currencies may hold signs; what is neither a sign nor a code stays as it is. -#}
    case
        when upper({{ text }}) in ('{{ iso_currencies() | join("', '") }}') then upper({{ text }})
        else coalesce(nullif({{ currency_of_sign(text) }}, '?'), upper({{ text }}))
    end
{%- endmacro %}

{% macro currency_by_code() -%}
    coalesce(upper({{ payload_text("currency") }}), '{{ var("base_currency") }}')
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

{% macro signs_of(key) -%}
    {{ currency_of_sign(key ~ "_parts[3]") }} as {{ key }}_sign_before,
    {{ currency_of_sign(key ~ "_parts[6]") }} as {{ key }}_sign_behind
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
