{% macro conventional_commit_pattern() -%}
    ^(feat|fix|docs|style|refactor|perf|test|build|ci|chore|revert)(\([^()]*\))?(!)?:
{%- endmacro %}

{% macro commit_type(subject) -%}
    coalesce(
        lower(substring({{ subject }} from '(?i){{ conventional_commit_pattern() }}')),
        case when {{ subject }} like 'Revert "%' then 'revert' end,
        'other'
    )
{%- endmacro %}

{% macro commit_scope(subject) -%}
    nullif(
        trim((regexp_match({{ subject }}, '{{ conventional_commit_pattern() }}', 'i'))[2], '() '),
        ''
    )
{%- endmacro %}

{% macro is_breaking(subject, message) -%}
    (
        {{ subject }} ~* '^[a-z]+(\([^()]*\))?!:'
        or ({{ message }} like '%BREAKING%' and {{ message }} ~ '(^|\n)BREAKING[ -]CHANGE: ')
    )
{%- endmacro %}

{% macro is_bot(username, email, display_name) -%}
    (
        {%- for name in [username, display_name] %}
        coalesce(lower({{ name }}) ~ '(\[bot\]|[-_]bot)$', false)
        or coalesce(
            lower({{ name }}) in ({% for bot in var('known_bots') %}'{{ bot }}'{{ ', ' if not loop.last }}{% endfor %}),
            false
        )
        or
        {%- endfor %}
        coalesce(lower({{ email }}) ~ '\[bot\](@|$)', false)
        or coalesce(
            lower({{ email }}) in (
                {%- for bot in var('known_bot_emails') %}'{{ bot }}'{{ ', ' if not loop.last }}{% endfor -%}
            ),
            false
        )
    )
{%- endmacro %}
