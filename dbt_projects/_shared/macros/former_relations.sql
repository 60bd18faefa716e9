{% macro replaced_relation() -%}
    {#- The relation whose place another took in this transaction, under the name that dbt gives it; none if none. One
        that a killed build left under that name is none of these. -#}
    {%- set former = load_cached_relation(make_backup_relation(this, 'table')) -%}
    {%- if former is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set is_of_now = run_query(
        "select count(*) from pg_class where oid = to_regclass('" ~ former ~ "') and xmin = pg_current_xact_id()::xid"
    ).columns[0].values()[0] -%}
    {{ return(former if is_of_now else none) }}
{%- endmacro %}

{% macro is_put_aside(former) -%}
    {#- A relation on which views of this project rest gets a name that dbt does not drop: they show its rows until
        their own turn, whatever ends the build before. Dropped with it they would be absent until then. -#}
    {%- set views = run_query(
        "select count(*) from pg_class where oid = to_regclass('" ~ former ~ "') and " ~ shared.has_views()
    ).columns[0].values()[0] -%}
    {%- if not views -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set kept = postgres__make_relation_with_suffix(this, '__former_' ~ invocation_id[:8], false) -%}
    {%- do adapter.rename_relation(former, kept.incorporate(type=former.type)) -%}
    {%- do run_query('comment on ' ~ former.type ~ ' ' ~ kept ~ " is '" ~ shared.put_aside_by_us() ~ "'") -%}
    {%- do shared.former_relations().append(kept.schema ~ '.' ~ kept.identifier) -%}
    {{ return(true) }}
{%- endmacro %}

{% macro put_aside_by_us() -%}
    {#- What tells them from tables of others by such a name, which nobody may drop. -#}
    {{ return('Put aside by a build of ' ~ project_name) }}
{%- endmacro %}

{% macro has_views() -%}
    exists (
        select
        from pg_depend
        inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
        where
            pg_depend.classid = cast('pg_rewrite' as regclass)
            and pg_depend.refclassid = cast('pg_class' as regclass)
            and pg_depend.refobjid = pg_class.oid
            and pg_rewrite.ev_class <> pg_class.oid
    )
{%- endmacro %}

{% macro former_relations() -%}
    {#- Those put aside by this build or by earlier ones that did not come to all views. -#}
    {%- if 'former_relations' not in graph -%}
        {%- set found = run_query(
            "select nspname || '.' || relname from pg_class inner join pg_namespace on relnamespace = pg_namespace.oid "
            ~ "where relkind in ('r', 'v') and relname ~ '__former_[0-9a-f]{8}$' and obj_description(pg_class.oid, "
            ~ "'pg_class') = '" ~ shared.put_aside_by_us() ~ "'"
        ).columns[0].values() | list -%}
        {%- do graph.setdefault('former_relations', found) -%}
    {%- endif -%}
    {{ return(graph['former_relations']) }}
{%- endmacro %}

{% macro drop_former_relations() -%}
    {#- Each goes once the last view that rested on it has had its turn, in the transaction of that one. -#}
    {%- if shared.former_relations() -%}
        {%- do run_query(shared.drop_unused_of(shared.former_relations())) -%}
    {%- endif -%}
{%- endmacro %}

{% macro drop_unused_of(names) -%}
do $former$
declare
    former record;
begin
    loop
        select
            case relkind when 'v' then 'view' else 'table' end as kind,
            pg_namespace.nspname as place,
            pg_class.relname as name
        into former
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where
            pg_namespace.nspname || '.' || pg_class.relname in ('{{ names | join("', '") }}')
            and not {{ shared.has_views() }}
        limit 1;
        exit when not found;
        execute format('drop %s if exists %I.%I', former.kind, former.place, former.name);
    end loop;
end
$former$
{%- endmacro %}
