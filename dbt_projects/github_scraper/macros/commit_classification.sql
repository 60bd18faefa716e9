{% macro conventional_commit_pattern(group) -%}
    {#- With one capturing group, `type` or `scope`: BigQuery takes no more. -#}
    {%- set type = 'feat|fix|docs|style|refactor|perf|test|build|ci|chore|revert' -%}
    (?i)^{{ '(' if group == 'type' else '(?:' }}{{ type }})
    {{- '(?:\\(([^()]*)\\))?' if group == 'scope' else '(?:\\([^()]*\\))?' }}(?:!)?:
{%- endmacro %}

{% macro commit_type(subject) -%}
    coalesce(
        lower({{ shared.first_match(subject, conventional_commit_pattern('type')) }}),
        case when {{ subject }} like 'Revert "%' then 'revert' end,
        'other'
    )
{%- endmacro %}

{% macro commit_scope(subject) -%}
    nullif(
        trim({{ shared.first_match(subject, conventional_commit_pattern('scope')) }}, '() '),
        ''
    )
{%- endmacro %}

{% macro is_breaking(subject, message) -%}
    (
        {{ shared.matches(subject, '(?i)^[a-z]+(\\([^()]*\\))?!:') }}
        or (
            {{ message }} like '%BREAKING%'
            and {{ shared.matches(message, '(^|\\n)BREAKING[ -]CHANGE: ') }}
        )
    )
{%- endmacro %}

{% macro is_bot(username, email, display_name) -%}
    (
        {%- for name in [username, display_name] %}
        coalesce({{ shared.matches('lower(' ~ name ~ ')', '(\\[bot\\]|[-_]bot)$') }}, false)
        or coalesce(
            lower({{ name }}) in ({% for bot in var('known_bots') %}'{{ bot }}'{{ ', ' if not loop.last }}{% endfor %}),
            false
        )
        or
        {%- endfor %}
        coalesce({{ shared.matches('lower(' ~ email ~ ')', '\\[bot\\](@|$)') }}, false)
        or coalesce(
            lower({{ email }}) in (
                {%- for bot in var('known_bot_emails') %}'{{ bot }}'{{ ', ' if not loop.last }}{% endfor -%}
            ),
            false
        )
    )
{%- endmacro %}
