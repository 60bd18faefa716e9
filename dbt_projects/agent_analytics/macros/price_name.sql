{% macro price_name(model_name) -%}
    {#- The name of a model as the price list spells it: no provider before it, dots as dashes, the family before the
        version. -#}
    regexp_replace(
        replace(
            regexp_replace(
                replace(lower(trim({{ model_name }})), ' [', '['),
                '^.*(anthropic[./:]|[a-z]--|models/|[/])(anthropic-|databricks-)?'
                || '|^(anthropic-|databricks-|(openai|google(-[a-z]+)?|azure|bedrock):)',
                ''
            ), '.', '-'
        ),
        '^claude-([4-9](?:-[0-9])?)-(opus|sonnet|haiku|fable|mythos)',
        'claude-\2-\1'
    )
{%- endmacro %}

{% macro listed_name(model_name) -%}
    {#- The price name with its window before its build, and the day of that with dashes, as the price list has them:
        requests of a longer window, and a build, can have a price of their own. -#}
    regexp_replace(
        regexp_replace(
            regexp_replace({{ price_name(model_name) }}, ':1m(:|$)', '[1m]\1'),
            '[-@](20[0-9]{2})-?([0-9]{2})-?([0-9]{2})([^0-9]|$)',
            '-\1-\2-\3\4'
        ),
        '^([a-z0-9-]*?)((-[0-9]{4}-[0-9]{2}-[0-9]{2}|-latest|-v[0-9]+)*([@:][^\[]*)?)\[1m\]',
        '\1[1m]\2'
    )
{%- endmacro %}

{% macro compared_name(model_name) -%}
    {#- What two spellings of one model have in common: its price name without the build and the window behind it. -#}
    regexp_replace(
        {{ price_name(model_name) }},
        '(-?[0-9]{8}|-[0-9]{4}-[0-9]{2}-[0-9]{2}|-latest|-v[0-9]+)*([@\[:].*)?$',
        ''
    )
{%- endmacro %}

{% macro is_fast_name(model_name) -%}
    {#- Whether a name says that the model ran in fast mode: `fast/claude-opus-4-6`, `claude-opus-4-6:fast[1m]`. -#}
    regexp_matches(lower(trim({{ model_name }})), '(^|/)fast/|:fast *([:\[]|$)|\[fast\]')
{%- endmacro %}

{% macro model_line(model_name) -%}
    {#- Of Claude's models the line, of which an alias names no version: `sonnet`. -#}
    regexp_extract({{ compared_name(model_name) }}, '^(claude-.*)?(opus|sonnet|haiku|fable|mythos)', 2)
{%- endmacro %}

{% macro is_alias(model_name) -%}
    regexp_full_match({{ compared_name(model_name) }}, '(claude-)?(opus|sonnet|haiku|fable|mythos)')
{%- endmacro %}

{% macro window_of(model_name) -%}
    regexp_extract({{ listed_name(model_name) }}, '\[1m\]')
{%- endmacro %}

{% macro without_window(model_name) -%}
    regexp_replace({{ model_name }}, ' *\[1m\]|:1m$', '')
{%- endmacro %}

{% macro is_regional_name(model_name) -%}
    {#- Whether a name says that the request stays in a region: `eu.anthropic.claude-opus-4-5`, `azure/eu/gpt-5`. -#}
    regexp_matches(
        lower(trim({{ model_name }})),
        '(^|[/:.])(us|eu|apac|jp|au|ca|sa|me|af|in)[.]anthropic[.]|(^|/)azure/(us|eu)/'
    )
{%- endmacro %}

{% macro is_government_name(model_name) -%}
    {#- Whether the region that a name tells is one of the US government. -#}
    regexp_matches(lower(trim({{ model_name }})), '(^|[/:.])us-gov(-(east|west)-[0-9])?[./]')
{%- endmacro %}

{% macro service_tier(values) -%}
    {#- The tier of a request, of the first of these that names one: what has the price for all is `standard`. One that
        nobody knows keeps its name, and has no price. -#}
    {%- set for_all = [
        'standard', 'standard_only', 'default', 'auto', 'normal', 'regular', 'on_demand', 'on-demand', 'ondemand',
    ] -%}
    coalesce(
        {%- for value in values %}
        case
            when lower(trim({{ value }})) in {{ listed(for_all) }} then null
            when lower(trim({{ value }})) = 'flex' then 'batch'
            else lower(left({{ known_id(value) }}, 40))
        end,
        {%- endfor %}
        'standard'
    )
{%- endmacro %}
