{#- Texts as people and their programs write them, of any script. -#}

{% macro blanks() -%}
    {#- What stands around a value and is no part of it: every kind of space, ends of lines, marks that nobody sees. -#}
    (
        u&' \0009\000A\000B\000C\000D\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A'
        || u&'\2028\2029\202F\205F\3000\200B\200C\200D\200E\200F\2060\FEFF'
    )
{%- endmacro %}

{% macro ascii_text(value) -%}
    {#-
        Arabic, Persian and full-width digits, every kind of space, dash, minus and apostrophe, and full-width marks as the
        plain ones; marks that nobody sees go. An Arabic mark of thousands is an apostrophe. Other letters and digits stay
        what they are.
    -#}
    case
        when octet_length({{ value }}) = length({{ value }}) then {{ value }}
        else translate(
            {{ value }},
            '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９＋．，：／（）＄￡￥￦٬'
            || u&'\2019\02BC\FF07\2010\2011\2012\2013\2014\2015\2212\FE58\FE63\FF0D\2044\2215'
            || u&'\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\202F\205F\3000'
            || u&'\200B\200C\200D\200E\200F\061C\2060\2066\2067\2068\2069\202A\202B\202C\202D\202E\FEFF',
            '012345678901234567890123456789+.,:/()$£¥₩'''
            || '''''''----------//'
            || '                '
        )
    end
{%- endmacro %}
