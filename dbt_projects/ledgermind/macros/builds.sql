{% macro built_at() -%}
    {#- The place of what a model writes now after all that was written before: a microsecond after the newest, or
        the clock where that is later. The clock alone may be behind another machine's that built before, and what
        changed since then would count as built. State and no lineage, so found by name. A table is read itself only
        while `dbt_places` does not tell its place: who reads one keeps it from being made anew until the transaction
        ends, and two models that read each other's would wait for each other. -#}
    {%- set known = noted_places() -%}
    {%- set newest = known.values() | list -%}
    {%- set unknown = [] -%}
    {%- if execute -%}
        {%- for model, column in [
            ('int_source_days', 'changed_at'),
            ('int_suggestions', 'built_at'),
            ('int_suggestions_daily', 'built_at'),
            ('mart_suggestions_tenant_daily', 'built_at'),
        ] if model not in known -%}
            {%- set found = adapter.get_relation(target.database, target.schema, model) -%}
            {%- if found -%}
                {%- do unknown.append('select max(' ~ column ~ ') as place from ' ~ found) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if unknown -%}
        {%- do newest.extend(run_query(unknown | join(' union all ')).columns[0].values_without_nulls()) -%}
    {%- endif -%}
    {%- set places = [run_started_at.replace(tzinfo=none)] -%}
    {%- for place in newest -%}
        {%- do places.append(place.replace(tzinfo=none) + modules.datetime.timedelta(microseconds=1)) -%}
    {%- endfor -%}
    {{ return(as_moment(places | max)) }}
{%- endmacro %}

{% macro run_clock() -%}
    {{ return(moment(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f'))) }}
{%- endmacro %}

{% macro by_changes_or_anew() -%}
    {#- The materialization of a mart with places. On BigQuery it is made anew each time: only then partitions begin to
        expire, or stop to. -#}
    {{ return('incremental' if target.type == 'postgres' else 'table') }}
{%- endmacro %}

{% macro places() -%}
    {#- Where models keep the places of their last builds. -#}
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
    {%- set place = noted_places().get(this.identifier) -%}
    {{ return(as_moment(place) if place else none) }}
{%- endmacro %}

{% macro noted_places() -%}
    {%- set known = {} -%}
    {%- if execute and adapter.get_relation(target.database, target.schema, 'dbt_places') -%}
        {%- for row in run_query('select model, built_at from ' ~ places()).rows -%}
            {%- do known.update({row[0]: row[1]}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(known) }}
{%- endmacro %}

{% macro as_moment(found) -%}
    {#- An instant of the warehouse as a literal; none is before all. -#}
    {%- if found is none -%}
        {{ return(moment('1900-01-01 00:00:00')) }}
    {%- endif -%}
    {{ return(moment(found.replace(tzinfo=none).strftime('%Y-%m-%d %H:%M:%S.%f'))) }}
{%- endmacro %}
