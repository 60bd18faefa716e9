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
            ('dbt_places', 'built_at'),
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
    {{ return(as_moment(place)) }}
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

{% macro by_changes_or_anew() -%}
    {#- The materialization of a mart with places. On BigQuery it is made anew each time: only then partitions begin to
        expire, or stop to. -#}
    {{ return('incremental' if target.type == 'postgres' else 'table') }}
{%- endmacro %}

{% macro places() -%}
    {#- Where a model whose rows have no `built_at` keeps the place of its last build. -#}
    {{ return(api.Relation.create(database=target.database, schema=target.schema, identifier='dbt_places')) }}
{%- endmacro %}

{% macro create_places() -%}
    {%- if execute and target.type == 'postgres' and flags.WHICH in ('build', 'run') -%}
        create table if not exists {{ places() }} (model text primary key, built_at timestamp not null)
    {%- endif -%}
{%- endmacro %}

{% macro note_place() -%}
    {#- In the transaction that writes the model. -#}
    {%- if target.type == 'postgres' -%}
        insert into {{ places() }} (model, built_at) values ('{{ this.identifier }}', {{ built_at() }})
        on conflict (model) do update set built_at = excluded.built_at
    {%- endif -%}
{%- endmacro %}

{% macro last_place() -%}
    {#- As a literal; none where nothing tells. -#}
    {%- if not execute or not adapter.get_relation(target.database, target.schema, 'dbt_places') -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query(
        'select max(built_at) from ' ~ places() ~ " where model = '" ~ this.identifier ~ "'"
    ).rows[0][0] -%}
    {{ return(as_moment(found) if found else none) }}
{%- endmacro %}

{% macro as_moment(found) -%}
    {#- An instant of the warehouse as a literal; none is before all. -#}
    {%- if found is none -%}
        {{ return(moment('1900-01-01 00:00:00')) }}
    {%- endif -%}
    {{ return(moment(found.replace(tzinfo=none).strftime('%Y-%m-%d %H:%M:%S.%f'))) }}
{%- endmacro %}
