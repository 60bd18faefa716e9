{% materialization late_bound_view, adapter='postgres' %}
    {#- A view of another program's table must not keep its owner from altering it. PostgreSQL notes what a view
        depends on and not what the text of a function does: the view is of a function, which the planner puts in its
        place as it does with a view. -#}
    {%- set existing = load_cached_relation(this) -%}
    {%- set view = this.incorporate(type='view') -%}
    {%- set rows_of = this.incorporate(path={'identifier': this.identifier ~ '__rows'}) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    {%- set columns = shared.described_columns(sql) -%}
    {%- set is_kept = existing is not none and existing.type == 'view'
        and (not should_full_refresh() or shared.has_readers(this))
        and shared.has_these_columns(existing, rows_of, columns) -%}
    {%- set grants = none -%}
    {%- if existing is not none and not is_kept -%}
        {%- do shared.refuse_to_drop(run_query(shared.readers_of(existing)).columns[0].values()[0]) -%}
        {%- set grants = shared.grants_on(existing, columns | map(attribute=0) | list) -%}
        {%- if not shared.is_put_aside(existing) -%}
            {%- do adapter.drop_relation(existing) -%}
        {%- endif -%}
    {%- endif -%}
    {% call statement('main') -%}
        drop view pg_temp.described;
        {% if not is_kept -%}
        drop function if exists {{ rows_of }}();
        {% endif -%}
        create or replace function {{ rows_of }}()
        returns table (
            {%- for column in columns %}{{ adapter.quote(column[0]) }} {{ column[1] }}{{ ', ' if not loop.last }}{% endfor -%}
        )
        language sql stable parallel safe
        as $late_bound$
            select
                {% for column in columns -%}
                cast({{ adapter.quote(column[0]) }} as {{ column[1] }}){{ ', ' if not loop.last }}
                {% endfor -%}
            from (
                {{ sql }}
            ) as found
        $late_bound$;
        {% if not is_kept -%}
        create view {{ view }} as select * from {{ rows_of }}();
        {{ grants or '' }}
        {%- endif -%}
    {%- endcall %}
    {%- do apply_grants(view, config.get('grants'), should_revoke=is_kept) -%}
    {%- do persist_docs(view, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [view]}) }}
{% endmaterialization %}

{% macro described_columns(sql) -%}
    {#- Name and type of each column of a query. A type that somebody made, whose owner may want to drop it, is read
        as the one of PostgreSQL's own that it is made of, or as text; one that without its length is one letter or
        bit, as that of any length. -#}
    {%- set described = run_query(
        'create or replace temporary view described as (' ~ sql ~ "); "
        ~ "select attname, case read_as when 'character'::regtype then 'text' when 'character[]'::regtype then 'text[]' "
        ~ "when 'bit'::regtype then 'bit varying' when 'bit[]'::regtype then 'bit varying[]' "
        ~ 'else format_type(read_as, null) end '
        ~ 'from (with recursive told as ('
        ~ "select attname, attnum, atttypid from pg_attribute where attrelid = 'pg_temp.described'::regclass "
        ~ 'and attnum > 0 union all select attname, attnum, typbasetype from told '
        ~ "join pg_type on pg_type.oid = atttypid where typtype = 'd') "
        ~ "select attname, attnum, case when typnamespace = 'pg_catalog'::regnamespace then pg_type.oid "
        ~ "when typcategory = 'A' then 'text[]'::regtype else 'text'::regtype end as read_as "
        ~ "from told join pg_type on pg_type.oid = atttypid where typtype <> 'd') as columns order by attnum"
    ) -%}
    {%- set columns = [] -%}
    {%- for row in described.rows -%}
        {%- do columns.append((row[0], row[1])) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{% macro has_these_columns(existing, rows_of, columns) -%}
    {%- set found = run_query(
        'select attname, format_type(atttypid, atttypmod) from pg_attribute '
        ~ "where attrelid = to_regclass('" ~ existing ~ "') "
        ~ "and to_regprocedure('" ~ rows_of ~ "()') is not null and attnum > 0 order by attnum"
    ) -%}
    {%- set there = [] -%}
    {%- for row in found.rows -%}
        {%- do there.append((row[0], row[1])) -%}
    {%- endfor -%}
    {{ return(there == columns) }}
{%- endmacro %}
