{% macro hung_on(oid, name) -%}
    {#- What others hung on a relation itself and would go with it: triggers, rules, policies, defaults, statistics,
        places in publications, indexes but those of models, whose names are hashes, and constraints of a kind that the
        contract of the model has none of. -#}
    select distinct hung.classid, hung.objid
    from pg_depend as hung
    left join pg_class as indexes
        on hung.classid = cast('pg_class' as regclass) and hung.objid = indexes.oid
    left join pg_constraint as constraints
        on hung.classid = cast('pg_constraint' as regclass) and hung.objid = constraints.oid
    where
        hung.refclassid = cast('pg_class' as regclass)
        and hung.refobjid = {{ oid }}
        and hung.deptype = 'a'
        and coalesce(indexes.relname !~ '^[0-9a-f]{32}$', true)
        and coalesce(
            constraints.contype <> 'n'
            and concat({{ name }}, ' ', constraints.contype) not in ({{ shared.constraints_of_contracts() }}),
            true
        )
{%- endmacro %}

{% macro constraints_of_contracts() -%}
    {#- The relations of this project with the letter that PostgreSQL has for a kind of constraint of their contract. -#}
    {%- set letters = {'check': 'c', 'primary_key': 'p', 'unique': 'u', 'foreign_key': 'f'} -%}
    {%- set found = ["''"] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.contract.enforced -%}
        {%- for part in [node] + node.columns.values() | list -%}
            {%- for constraint in part.constraints if constraint.type in letters -%}
                {%- do found.append(
                    "'" ~ node.schema ~ '.' ~ (node.alias or node.name) ~ ' ' ~ letters[constraint.type] ~ "'"
                ) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found | unique | join(', ')) }}
{%- endmacro %}

{% macro identity_for_merges() -%}
    {#- Pre-hook where rows of a table change before `write_in_place`, or without it. -#}
    {%- if
        execute
        and target.type == 'postgres'
        and (config.get('materialized') == 'snapshot' or is_incremental())
    -%}
        {{ shared.identity_for_subscribers() }}
    {%- endif -%}
{%- endmacro %}

{% macro identity_for_subscribers() -%}
    {#- PostgreSQL refuses to delete rows that a publication tells of where nothing identifies them. All columns do, and
        a publication of some columns cannot tell of all. -#}
    {%- if 'relations_without_identity' not in graph -%}
        {%- set found = {} -%}
        {%- for name, publications in run_query(shared.published_without_identity()).rows -%}
            {%- do found.update({name: publications}) -%}
        {%- endfor -%}
        {%- do graph.update({'relations_without_identity': found}) -%}
    {%- endif -%}
    {%- set name = this.schema ~ '.' ~ this.identifier -%}
    {%- if graph['relations_without_identity'].get(name) -%}
        {{ exceptions.raise_compiler_error(
            'Rows of ' ~ name ~ ' cannot be replaced, since publications of updates or deletes publish only some of its '
            ~ 'columns: ' ~ graph['relations_without_identity'][name]
            ~ '. Nothing was changed. Have them publish all columns, or inserts only, and build again'
        ) }}
    {%- elif name in graph['relations_without_identity'] -%}
        alter table {{ this }} replica identity full;
    {%- endif -%}
{%- endmacro %}

{% macro published_without_identity() -%}
    {#- Each with the publications that leave out columns. What tells of a table tells of its partitions. -#}
    select
        pg_namespace.nspname || '.' || pg_class.relname,
        string_agg(
            distinct pg_publication.pubname, ', ' order by pg_publication.pubname
        ) filter (where pg_publication_rel.prattrs is not null)
    from pg_class
    inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    cross join lateral (
        select pg_class.oid, pg_class.relnamespace
        union
        select whole.oid, whole.relnamespace
        from pg_partition_ancestors(pg_class.oid) as ancestors
        inner join pg_class as whole on ancestors.relid = whole.oid
    ) as published
    inner join pg_publication on pg_publication.pubdelete or pg_publication.pubupdate
    left join pg_publication_rel
        on pg_publication.oid = pg_publication_rel.prpubid and published.oid = pg_publication_rel.prrelid
    left join pg_publication_namespace
        on
            pg_publication.oid = pg_publication_namespace.pnpubid
            and published.relnamespace = pg_publication_namespace.pnnspid
    where
        pg_class.relkind = 'r'
        and pg_namespace.nspname || '.' || pg_class.relname in ({{ shared.our_relations() }})
        and (
            pg_class.relreplident in ('n', 'f')
            or (
                pg_class.relreplident = 'd'
                and not exists (select from pg_index where indrelid = pg_class.oid and indisprimary)
            )
        )
        and (
            pg_publication.puballtables
            or pg_publication_rel.oid is not null
            or pg_publication_namespace.oid is not null
        )
    group by pg_class.oid, pg_namespace.nspname, pg_class.relname, pg_class.relreplident
    having pg_class.relreplident <> 'f' or bool_or(pg_publication_rel.prattrs is not null)
{%- endmacro %}
