{% macro without_comments(message) -%}
    {#- A message without what git takes for none of its text: comments, and a list of conflicts at its end. -#}
    regexp_replace(
        regexp_replace(
            replace({{ message }}, chr(13), ''),
            '(?m)^#[^\n]*(\n|\z)',
            '',
            'g'
        ),
        '(\n[ \t\n]*Conflicts:(\n\t[^\n]*)*)?\s*$',
        ''
    )
{%- endmacro %}

{% macro is_trailer(line) -%}
    (regexp_matches({{ line }}, '^[A-Za-z0-9-]+[ \t]*:') or {{ is_of_git(line) }})
{%- endmacro %}

{% macro is_of_git(line) -%}
    {#- A trailer that git writes itself. -#}
    (starts_with({{ line }}, 'Signed-off-by: ') or starts_with({{ line }}, '(cherry picked from commit '))
{%- endmacro %}
