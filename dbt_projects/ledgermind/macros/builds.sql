{% macro built_at() -%}
    {#- The place of what a model writes now after all that was written before: a microsecond after the newest, or
        the clock where that is later. The clock alone may be behind another machine's that built before, and what
        changed since then would count as built. State and no lineage, so found by name. -#}
    {%- set newest = [] -%}
    {%- if execute -%}
        {%- for model, column in [
            ('int_source_days', 'changed_at'),
            ('int_suggestions', 'built_at'),
            ('int_suggestions_daily', 'built_at'),
            ('mart_suggestions_tenant_daily', 'built_at'),
        ] -%}
            {%- set found = adapter.get_relation(target.database, target.schema, model) -%}
            {%- if found -%}
                {%- do newest.append(a_moment_after(
                    'coalesce((select max(' ~ column ~ ') from ' ~ found ~ '), ' ~ moment('1900-01-01 00:00:00') ~ ')'
                )) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if not newest -%}
        {{ return(run_clock()) }}
    {%- endif -%}
    {%- set place = run_query('select greatest(' ~ run_clock() ~ ', ' ~ newest | join(', ') ~ ')').rows[0][0] -%}
    {{ return(moment(place.replace(tzinfo=none).strftime('%Y-%m-%d %H:%M:%S.%f'))) }}
{%- endmacro %}

{% macro run_clock() -%}
    {{ return(moment(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f'))) }}
{%- endmacro %}

{% macro a_moment_after(instant) -%}
    {{ return(adapter.dispatch('a_moment_after', 'ledgermind')(instant)) }}
{%- endmacro %}

{% macro postgres__a_moment_after(instant) -%}
    {{ instant }} + interval '1 microsecond'
{%- endmacro %}

{% macro bigquery__a_moment_after(instant) -%}
    timestamp_add({{ instant }}, interval 1 microsecond)
{%- endmacro %}
