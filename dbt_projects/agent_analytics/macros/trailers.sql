{#- How a line of a trailer begins, and one of a trailer that git writes itself. -#}
{% macro token_of_trailer() -%}
    [A-Za-z0-9-]+[ \t]*:
{%- endmacro %}

{% macro beginning_by_git() -%}
    (?:Signed-off-by: |\(cherry picked from commit )
{%- endmacro %}

{% macro last_paragraph(message) -%}
    {#- The last paragraph of a commit's message, each line with its end: git takes what stands behind scissors, and
        empty lines, comments and a list of conflicts at the end for none of it. -#}
    regexp_extract(
        regexp_replace(
            regexp_replace(
                {{ message }} || chr(10),
                '(?ms)^# -{24} >8 -{24}$.*',
                ''
            ),
            '(?m)^(?:(?:[ \t\r]*|#[^\n]*)\n)*(?:Conflicts:\n(?:(?:[\t#][^\n]*|Conflicts:)?\n)*)?\z',
            ''
        ),
        '(?m)^(?:[^\n]*[^ \t\r\n][^\n]*\n)+\z'
    )
{%- endmacro %}

{% macro trailers_in(paragraph) -%}
    {#- The trailers of a paragraph, as a list, each with the lines that it is folded to. -#}
    regexp_extract_all(
        {{ paragraph }},
        '(?m)^(?:{{ token_of_trailer() }}|{{ beginning_by_git() }})[^\n]*\n(?:[ \t\r][^\n]*\n)*'
    )
{%- endmacro %}

{% macro count_of_lines(text) -%}
    (length({{ text }}) - length(replace({{ text }}, chr(10), '')))
{%- endmacro %}
