{% macro rows_in_place(sql) -%}
    {#- The statement that replaces the rows of a table; none where its columns change, or, if nobody else is known to
        read it, its indexes. dbt's own way puts another table in its place: whoever reads as of a moment before that,
        as the report does, would find it empty. Each project has the materializations that call this: dbt takes none of
        a built-in name from a package. -#}
    {%- set is_read = shared.has_readers(this) -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none or existing.type != 'table' -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set columns = shared.same_columns(sql) -%}
    {%- if not columns or not (is_read or shared.same_indexes(existing)) -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(shared.replace_rows(sql, columns)) }}
{%- endmacro %}

{% macro replace_rows(sql, columns) -%}
    {%- do shared.refuse_keys_to(this) -%}
    {%- set names = columns | join(', ') -%}
    {%- set constraints = shared.constraints_that_changed() -%}
    {%- set statement -%}
        {{ constraints.gone | join(' ') }}
        delete from only {{ this }};
        {{ shared.refuse_rows_left() }}
        insert into {{ this }} ({{ names }})
        select {{ names }} from (
            {{ sql }}
        ) as replaced;
        {{ constraints.new | join(' ') }}
    {%- endset -%}
    {{ return(statement) }}
{%- endmacro %}

{% macro refuse_keys_to(relation) -%}
    {#- A foreign key of others would take their rows along with ours, or stop at them. -#}
    {%- set keys = run_query(
        "select string_agg(conrelid::regclass || ' (' || conname || ')', ', ' order by 1) from pg_constraint "
        ~ "where contype = 'f' and confrelid = to_regclass('" ~ relation ~ "') and conrelid <> confrelid"
    ).columns[0].values()[0] -%}
    {%- if keys -%}
        {{ exceptions.raise_compiler_error(
            'Writing ' ~ relation ~ ' anew would delete rows to which foreign keys of others point: ' ~ keys
            ~ '. Nothing was changed. Drop those keys and build again: rows of a table that is built are no place for one'
        ) }}
    {%- endif -%}
{%- endmacro %}

{% macro has_readers(relation) -%}
    {#- Whether anybody reads a relation besides models that are built from it: who was granted it, other programs'
        views, or a view of this project. Asked once in a build, before anything is replaced. -#}
    {%- if 'relations_with_readers' not in graph -%}
        {%- do graph.update({
            'relations_with_readers': run_query(shared.relations_with_readers()).columns[0].values() | list
        }) -%}
    {%- endif -%}
    {{ return(relation.schema ~ '.' ~ relation.identifier in graph['relations_with_readers']) }}
{%- endmacro %}

{% macro our_relations() -%}
    {%- set ours = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type in ['model', 'seed', 'snapshot'] -%}
        {%- do ours.append("'" ~ node.schema ~ '.' ~ (node.alias or node.name) ~ "'") -%}
    {%- endfor -%}
    {{ return(ours | join(', ')) }}
{%- endmacro %}

{% macro relations_with_readers() -%}
    {#- Names alone, so that no lock is waited for. -#}
    with recursive given_to_new as (
        select
            pg_default_acl.defaclnamespace as schema_oid,
            acl.grantee,
            acl.privilege_type,
            acl.is_grantable
        from pg_default_acl
        cross join aclexplode(pg_default_acl.defaclacl) as acl
        where
            pg_default_acl.defaclrole = (select oid from pg_roles where rolname = current_user)
            and pg_default_acl.defaclobjtype = 'r'
    ),
    reads as (
        select distinct
            uses.refobjid as oid,
            rules.ev_class as reader
        from pg_depend as uses
        inner join pg_rewrite as rules on uses.objid = rules.oid
        where
            uses.refclassid = cast('pg_class' as regclass)
            and uses.classid = cast('pg_rewrite' as regclass)
            and uses.refobjid <> rules.ev_class
    ),
    kept as (
        select pg_class.oid
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where
            pg_class.relkind in ('r', 'p', 'v', 'm', 'f')
            and (
                pg_namespace.nspname || '.' || pg_class.relname not in ({{ shared.our_relations() }})
                or pg_class.oid in (
                    select reads.reader
                    from reads
                    inner join pg_class as held on reads.oid = held.oid
                    inner join pg_namespace as place on held.relnamespace = place.oid
                    where place.nspname || '.' || held.relname in ({{ shared.our_relations() }})
                )
                or pg_class.relkind = 'm'
                or pg_class.relrowsecurity
                or exists (select from pg_inherits where inhrelid = pg_class.oid)
                or pg_class.reloptions is not null
                or (pg_class.relkind = 'r' and pg_class.relreplident <> 'd')
                or exists ({{ shared.grants_unlike_those_of_new() }})
                or exists (select from pg_attribute where attrelid = pg_class.oid and attacl is not null)
                or exists ({{ shared.what_rests_on_it_besides_views() }})
                or exists ({{ shared.hung_on('pg_class.oid', "pg_namespace.nspname || '.' || pg_class.relname") }})
            )
        union
        select reads.oid
        from kept
        inner join reads on kept.oid = reads.reader
    )
    select pg_namespace.nspname || '.' || pg_class.relname
    from kept
    inner join pg_class on kept.oid = pg_class.oid
    inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    where pg_namespace.nspname || '.' || pg_class.relname in ({{ shared.our_relations() }})
{%- endmacro %}

{% macro what_rests_on_it_besides_views() -%}
    {#- What others made that names it or its rows: functions, foreign keys, policies, columns, tables that inherit. -#}
    select
    from (
        values
        (cast('pg_class' as regclass), pg_class.oid),
        (cast('pg_type' as regclass), pg_class.reltype),
        (cast('pg_type' as regclass), (select typarray from pg_type where pg_type.oid = pg_class.reltype))
    ) as held (kind, oid)
    inner join pg_depend as uses on held.kind = uses.refclassid and held.oid = uses.refobjid
    left join pg_constraint as keys on uses.classid = cast('pg_constraint' as regclass) and uses.objid = keys.oid
    where
        uses.deptype = 'n'
        and uses.classid <> cast('pg_rewrite' as regclass)
        and keys.conrelid is distinct from pg_class.oid
{%- endmacro %}

{% macro grants_unlike_those_of_new() -%}
    {#- What the relation has and default privileges would not give to another in its place, or the other way round. -#}
    (
        select grantee, privilege_type, is_grantable
        from aclexplode(pg_class.relacl)
        where grantee <> pg_class.relowner
        except
        select grantee, privilege_type, is_grantable
        from given_to_new
        where schema_oid in (0, pg_class.relnamespace)
    )
    union all
    (
        select grantee, privilege_type, is_grantable
        from given_to_new
        where schema_oid in (0, pg_class.relnamespace) and grantee <> pg_class.relowner
        except
        select grantee, privilege_type, is_grantable
        from aclexplode(pg_class.relacl)
    )
{%- endmacro %}

{% macro readers_of(relation) -%}
    {#- What would be dropped with a relation, directly or through others, and is none of this project's. -#}
    with recursive found as (
        select
            cast(cast('pg_class' as regclass) as oid) as kind,
            cast(to_regclass('{{ relation }}') as oid) as oid
        union
        select
            case when rules.oid is null then uses.classid else cast(cast('pg_class' as regclass) as oid) end,
            coalesce(rules.ev_class, uses.objid)
        from found
        inner join pg_depend as uses on found.kind = uses.refclassid and found.oid = uses.refobjid
        left join pg_rewrite as rules
            on uses.classid = cast('pg_rewrite' as regclass) and uses.objid = rules.oid
    ),
    named as (
        select pg_namespace.nspname || '.' || pg_class.relname as name
        from found
        inner join pg_class on found.kind = cast('pg_class' as regclass) and found.oid = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_class.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and pg_class.oid <> to_regclass('{{ relation }}')
        union all
        select pg_describe_object(found.kind, found.oid, 0)
        from found
        left join pg_constraint as keys
            on found.kind = cast('pg_constraint' as regclass) and found.oid = keys.oid and keys.contype = 'f'
        left join pg_policy as policies
            on found.kind = cast('pg_policy' as regclass) and found.oid = policies.oid
        left join pg_type as domains
            on found.kind = cast('pg_type' as regclass) and found.oid = domains.oid and domains.typtype = 'd'
        where
            found.kind = cast('pg_proc' as regclass)
            or keys.conrelid <> to_regclass('{{ relation }}')
            or policies.polrelid <> to_regclass('{{ relation }}')
            or domains.oid is not null
        union all
        select concat('place in table ', cast(inhparent as regclass))
        from pg_inherits
        where inhrelid = to_regclass('{{ relation }}')
        union all
        select pg_describe_object(kind, oid, 0)
        from ({{ shared.hung_on(
            "cast(to_regclass('" ~ relation ~ "') as oid)", "'" ~ this.schema ~ '.' ~ this.identifier ~ "'"
        ) }}) as hung (kind, oid)
    )
    select string_agg(name, ', ' order by name) from named where name not in ({{ shared.our_relations() }})
{%- endmacro %}

{% macro refuse_to_drop(readers) -%}
    {%- if readers -%}
        {{ exceptions.raise_compiler_error(
            'Replacing ' ~ this ~ ', whose columns change, would drop what others made on it: '
            ~ readers | replace(make_backup_relation(this, 'table').identifier, this.identifier)
            ~ '. Nothing was changed. Keep their definitions, drop them, build again, and make them anew'
        ) }}
    {%- endif -%}
{%- endmacro %}

{% macro keep_readers() -%}
    {#- Where columns changed, dbt put a new relation in the place of the former one, which it drops next with all that
        rests on it. In the same transaction grants move, and what views of this project rest on is kept for them; an
        error here leaves everything as it was. -#}
    {%- if execute and target.type == 'postgres' -%}
        {%- set former = shared.replaced_relation() -%}
        {%- if former and shared.has_readers(this) -%}
            {%- do shared.refuse_to_drop(run_query(
                shared.move_grants(former, this) ~ '; ' ~ shared.readers_of(former)
            ).columns[0].values()[0]) -%}
        {%- endif -%}
        {%- if former and not shared.is_put_aside(former) and shared.former_relations() -%}
            {%- do adapter.drop_relation(former) -%}
        {%- endif -%}
        {%- do shared.drop_former_relations() -%}
    {%- endif -%}
{%- endmacro %}

{% macro grants_on(relation, columns) -%}
    {#- Statements that give again what others may do with a relation and with those of its columns that stay; none
        where nobody may do anything. -#}
    {{ return(run_query(
        "select string_agg(format('grant %s%s on " ~ relation ~ " to %s%s', privilege_type, part, "
        ~ "case grantee when 0 then 'public' else grantee::regrole::text end, "
        ~ "case when is_grantable then ' with grant option' else '' end), '; ') from ("
        ~ "select relacl as acl, '' as part, relowner from pg_class where oid = to_regclass('" ~ relation ~ "') "
        ~ "union all select attacl, format(' (%I)', attname), relowner "
        ~ 'from pg_attribute join pg_class on pg_class.oid = attrelid '
        ~ "where attrelid = to_regclass('" ~ relation ~ "') and attname in ('" ~ columns | join("', '") ~ "')"
        ~ ') as given, aclexplode(acl) where grantee <> relowner'
    ).columns[0].values()[0]) }}
{%- endmacro %}

{% macro reset_seed(model, full_refresh, old_relation, agate_table) -%}
    {#- dbt's own way truncates the table, which is empty then for who reads as of a moment before, and drops it on a
        full refresh, with what others made on it and who may read it. -#}
    {%- set names = agate_table.column_names | list -%}
    {%- set is_made_anew = full_refresh and not (
        shared.has_readers(old_relation)
        and adapter.get_columns_in_relation(old_relation) | map(attribute='name') | list == names
    ) -%}
    {%- if not is_made_anew -%}
        {%- do shared.refuse_keys_to(old_relation) -%}
        {%- set emptied = 'delete from only ' ~ old_relation -%}
        {%- do run_query(emptied ~ '; ' ~ shared.refuse_rows_left()) -%}
        {{ return(emptied) }}
    {%- endif -%}
    {%- do shared.refuse_to_drop(run_query(shared.readers_of(old_relation)).columns[0].values()[0]) -%}
    {%- set grants = shared.grants_on(old_relation, names) -%}
    {%- if not shared.is_put_aside(old_relation) -%}
        {%- do adapter.drop_relation(old_relation) -%}
    {%- endif -%}
    {%- set made = create_csv_table(model, agate_table) -%}
    {%- if grants -%}
        {%- do run_query(grants) -%}
    {%- endif -%}
    {{ return(made) }}
{%- endmacro %}

{% macro move_grants(former, relation) -%}
do $move_grants$
declare
    old oid := to_regclass('{{ former }}');
    new oid := to_regclass('{{ relation }}');
    granted record;
    settings text;
begin
    if old is null or new is null then
        return;
    end if;
    if (select relrowsecurity from pg_class where oid = old) then
        raise exception '% has row security, which its successor would not have. Disable it, and give readers a view '
            'that decides who sees which rows', new::regclass;
    end if;
    select
        'alter table ' || new::regclass || ' ' || string_agg(setting, ', ')
    into settings
    from (
        select 'set (' || array_to_string(reloptions, ', ') || ')' as setting from pg_class where oid = old
        union all
        select 'replica identity ' || case relreplident when 'f' then 'full' else 'nothing' end
        from pg_class where oid = old and relkind = 'r' and relreplident in ('f', 'n')
    ) as of_old
    where setting is not null;
    if settings is not null then
        execute settings;
    end if;
    for granted in
        select distinct acl.grantee from pg_class, aclexplode(relacl) as acl
        where pg_class.oid = new and acl.grantee <> relowner
    loop
        execute format(
            'revoke all on %s from %s',
            new::regclass,
            case when granted.grantee = 0 then 'public' else granted.grantee::regrole::text end
        );
    end loop;
    for granted in
        select acl.grantee, acl.privilege_type, acl.is_grantable, '' as columns
        from pg_class, aclexplode(relacl) as acl
        where pg_class.oid = old and acl.grantee <> relowner
        union all
        select acl.grantee, acl.privilege_type, acl.is_grantable, format('(%I)', of_old.attname)
        from pg_attribute as of_old
        inner join pg_attribute as of_new on of_old.attname = of_new.attname and of_new.attrelid = new
        cross join aclexplode(of_old.attacl) as acl
        where of_old.attrelid = old and of_old.attnum > 0
    loop
        execute format(
            'grant %s %s on %s to %s %s',
            granted.privilege_type,
            granted.columns,
            new::regclass,
            case when granted.grantee = 0 then 'public' else granted.grantee::regrole::text end,
            case when granted.is_grantable then 'with grant option' end
        );
    end loop;
end
$move_grants$
{%- endmacro %}
