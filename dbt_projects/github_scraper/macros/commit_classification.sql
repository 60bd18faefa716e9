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

{% macro fits(value, pattern) -%}
    {{ return(adapter.dispatch('fits', 'github_scraper')(value, pattern)) }}
{%- endmacro %}

{% macro postgres__fits(value, pattern) -%}
    {{ value }} ~ {{ pattern }}
{%- endmacro %}

{% macro bigquery__fits(value, pattern) -%}
    regexp_contains({{ value }}, {{ pattern }})
{%- endmacro %}
