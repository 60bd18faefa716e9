{% macro columns_of(relation) -%}
    {#- Name and type of each column of a table or view of whichever kind on PostgreSQL, whoever may read it: the
        information schema has no materialized views, and hides what may not be read. A domain's type is the one that
        it is made of, through other domains, too. -#}
    {%- set found = {} -%}
    {%- for row in run_query(
        'with recursive told as ('
        ~ "select attname, attnum, atttypid as read_as from pg_attribute where attrelid = to_regclass('"
        ~ (relation | string | replace("'", "''")) ~ "') and attnum > 0 and not attisdropped "
        ~ 'union all select attname, attnum, typbasetype from told inner join pg_type on pg_type.oid = read_as '
        ~ "where typtype = 'd') "
        ~ 'select attname, format_type(read_as, null) from told inner join pg_type on pg_type.oid = read_as '
        ~ "where typtype <> 'd' order by attnum"
    ).rows -%}
        {%- do found.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{% macro refuse_unread_sources() -%}
    {#- Pre-hook of every model on PostgreSQL: no model is built on rows of a source that are there and not
        seen, or without a column that they cannot be counted by. -#}
    {%- if execute and target.type == 'postgres' -%}
        {%- set unread = shared.unread_sources() -%}
        {%- if unread -%}
            {%- set ahead, seen, told = [model.unique_id], {}, [] -%}
            {#- Lists grow while they are gone through, which a loop of Jinja bears. -#}
            {%- for each in ahead if each not in seen -%}
                {%- do seen.update({each: true}) -%}
                {%- if each in unread -%}
                    {%- do told.append(unread[each]) -%}
                {%- elif each in graph.nodes -%}
                    {%- do ahead.extend(graph.nodes[each].depends_on.nodes) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if told -%}
                {%- do exceptions.raise_compiler_error(
                    'Building ' ~ model.name ~ ': ' ~ (told | unique | sort | join('; '))
                ) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro unread_sources() -%}
    {#- By unique id what of a source this role does not see, with what to do. Of the columns those that the source's
        description names. Asked once in a build. -#}
    {%- if 'unread_sources' not in graph -%}
        {%- set unread, named = {}, [] -%}
        {%- for each in graph.sources.values() -%}
            {%- set place = [
                each.unique_id, each.schema, each.identifier, each.columns | join(' '),
                shared.columns_of_kind(each, 'stops') | join(' '), shared.columns_of_kind(each, 'is null') | join(' '),
            ] -%}
            {%- do named.append("('" ~ place | join("', '") ~ "')") -%}
        {%- endfor -%}
        {%- if named -%}
            {%- for row in run_query(shared.unread_among(named)).rows -%}
                {%- set relation, role, columns = row[1], row[2], row[3] -%}
                {%- if row[6] -%}
                    {%- do exceptions.warn(
                        relation ~ ' has no column ' ~ row[6] ~ ': it is read as NULL. If it got another name, let its '
                        ~ 'owner add it again, or a view in its place show it'
                    ) -%}
                {%- endif -%}
                {%- set said = none -%}
                {%- if row[5] -%}
                    {%- set said = relation ~ ' has no column ' ~ row[5] ~ ', which rows cannot be counted without: let '
                        ~ 'its owner add it again, or put a view that has it in the place of the table' -%}
                {%- elif row[4] -%}
                    {%- set said = 'row-level security may hide rows of ' ~ relation ~ ' from ' ~ role
                        ~ ': let its owner create policy analytics on ' ~ relation ~ ' for select to ' ~ role
                        ~ ' using (true), or alter role ' ~ role ~ ' bypassrls' -%}
                {%- elif columns -%}
                    {%- set said = role ~ ' may not read the columns ' ~ columns ~ ' of ' ~ relation
                        ~ ': let its owner grant select (' ~ columns ~ ') on ' ~ relation ~ ' to ' ~ role -%}
                {%- elif not row[7] -%}
                    {%- set said = role ~ ' may not read ' ~ relation ~ ': let its owner grant select on ' ~ relation
                        ~ ' to ' ~ role -%}
                {%- endif -%}
                {%- if said -%}
                    {%- do unread.update({row[0]: said}) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
        {%- do graph.update({'unread_sources': unread}) -%}
    {%- endif -%}
    {{ return(graph['unread_sources']) }}
{%- endmacro %}

{% macro unread_among(named) -%}
    select * from (
        select
            sources.unique_id,
            concat(quote_ident(nspname), '.', quote_ident(relname)) as relation,
            quote_ident(current_user) as role,
            case when has_any_column_privilege(pg_class.oid, 'select') then (
                select string_agg(quote_ident(attname), ', ' order by attnum)
                from pg_attribute
                where
                    attrelid = pg_class.oid
                    and attname = any(string_to_array(sources.columns, ' '))
                    and not attisdropped
                    and not has_column_privilege(attrelid, attnum, 'select')
            ) end as columns,
            {{ shared.is_row_security_hiding('pg_class.oid') }} as is_hidden,
            {{ shared.absent_among('sources.needed') }} as absent,
            {{ shared.absent_among('sources.spared') }} as absent_and_spared,
            has_any_column_privilege(pg_class.oid, 'select') as is_readable
        from (values {{ named | join(', ') }}) as sources (
            unique_id, place, name, columns, needed, spared
        )
        inner join pg_namespace on nspname = sources.place
        inner join pg_class on relnamespace = pg_namespace.oid and relname = sources.name
    ) as told
    where is_hidden or columns is not null or absent is not null or absent_and_spared is not null or not is_readable
{%- endmacro %}

{% macro absent_among(names) -%}
    (
        select string_agg(quote_ident(name), ', ')
        from unnest(string_to_array({{ names }}, ' ')) as name
        where not exists (
            select 1 from pg_attribute where attrelid = pg_class.oid and attname = name and not attisdropped
        )
    )
{%- endmacro %}

{% macro columns_of_kind(described, absence) -%}
    {#- Of a source those whose `meta.absence` is this one: without a column it stops, or is NULL with a warning. -#}
    {%- set names = [] -%}
    {%- for column in described.columns.values() if column.get('meta', {}).get('absence') == absence -%}
        {%- do names.append(column.name) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{% macro is_row_security_hiding(oid) -%}
    {#- Whether the policies of a table may keep rows from this role: one that lets all pass does not, unless a
        restrictive one of others is beside it. The export to BigQuery asks the same. -#}
    (
        row_security_active({{ oid }})
        and not coalesce((
            select
                bool_or(polpermissive and lets_all_pass)
                and bool_and(polpermissive or lets_all_pass)
            from (
                select
                    polpermissive,
                    coalesce(pg_get_expr(polqual, polrelid) = 'true', false) as lets_all_pass
                from pg_policy
                where
                    polrelid = {{ oid }}
                    and polcmd in ('r', '*')
                    and exists (
                        select 1 from unnest(polroles) as role (oid)
                        where role.oid = 0 or pg_has_role(role.oid, 'usage')
                    )
            ) as policies
        ), false)
    )
{%- endmacro %}
