{% macro known_id(identifier) -%}
    {#- An identifier without the blanks around it; NULL where a placeholder stands for one. -#}
    {%- set placeholders = [
        'undefined', 'null', '(null)', 'none', 'nil', 'nan', 'n/a', 'na', 'unknown', 'anonymous', 'default', 'unset',
        'not set', 'not_set', 'empty', 'missing', '-', '?', '<unknown>', '<none>', '[object object]',
    ] -%}
    case
        when not (
            lower(trim({{ identifier }})) in {{ listed(placeholders) }}
            or regexp_full_match(trim({{ identifier }}), '[0-]+')
            or regexp_matches(
                trim({{ identifier }}),
                '[$][{(]|[{][{].*[}][}]|[{][A-Za-z_.: ]+[}]|<[^<>@]+>|^`.*`$'
                || '|(^|[^A-Za-z0-9_])[$][A-Za-z_][A-Za-z0-9_:]*($|[^A-Za-z0-9_$])'
                || '|(^|[^A-Za-z0-9])%[A-Za-z_][A-Za-z0-9_]+%($|[^A-Za-z0-9])'
            )
        )
            then nullif(trim({{ identifier }}), '')
    end
{%- endmacro %}
