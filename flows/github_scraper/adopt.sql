-- Tables that are there already under the names of ours, such as an application made by the plan of
-- this system: columns that they lack are added and filled, types widened. Nothing is taken away
-- but a uniqueness that forks break.
do $$
declare
    wanted record;
    found text;
    sequence text;
begin
    for wanted in
        select
            relation.oid,
            listed.*
        from (
            values
            ('repositories', 'id', 'bigint', null, null),
            ('repositories', 'path_name', 'text', null, null),
            ('repositories', 'state', 'text', '''pending''', '''pending'''),
            ('repositories', 'error_message', 'text', null, null),
            ('repositories', 'is_empty', 'boolean', 'false', 'false'),
            ('repositories', 'last_attempt_at', 'timestamp with time zone', null, null),
            ('repositories', 'last_processed_at', 'timestamp with time zone', null, null),
            ('repositories', 'created_at', 'timestamp with time zone', 'now()', 'now()'),
            ('repositories', 'updated_at', 'timestamp with time zone', 'now()', 'now()'),
            ('contributors', 'id', 'bigint', null, null),
            ('contributors', 'identity_key', 'text', null, null),
            ('contributors', 'merged_into', 'bigint', null, null),
            ('contributors', 'username', 'text', null, null),
            ('contributors', 'email', 'text', null, null),
            ('contributors', 'display_name', 'text', null, null),
            ('contributors', 'profile_url', 'text', null, null),
            ('contributors', 'created_at', 'timestamp with time zone', 'now()', 'now()'),
            ('contributors', 'updated_at', 'timestamp with time zone', 'now()', 'now()'),
            ('commits', 'id', 'bigint', null, null),
            ('commits', 'repository_id', 'bigint', null, null),
            ('commits', 'contributor_id', 'bigint', null, null),
            ('commits', 'parent_hashes', 'text[]', '''{}''', '''{}'''),
            ('commits', 'commit_date', 'timestamp with time zone', null, null),
            ('commits', 'committed_at', 'timestamp with time zone', null, 'commit_date'),
            ('commits', 'author_epoch_seconds', 'numeric', null, null),
            ('commits', 'author_utc_offset', 'text', '''+0000''', '''+0000'''),
            ('commits', 'committer_epoch_seconds', 'numeric', null, null),
            ('commits', 'committer_utc_offset', 'text', '''+0000''', '''+0000'''),
            ('commits', 'is_date_clamped', 'boolean', 'false', 'false'),
            ('commits', 'author_name', 'text', '''''', ''''''),
            ('commits', 'author_email', 'text', '''''', ''''''),
            ('commits', 'author_name_mapped', 'text', '''''', ''''''),
            ('commits', 'author_email_mapped', 'text', '''''', ''''''),
            ('commits', 'committer_name', 'text', '''''', ''''''),
            ('commits', 'committer_email', 'text', '''''', ''''''),
            ('commits', 'committer_name_mapped', 'text', '''''', ''''''),
            ('commits', 'committer_email_mapped', 'text', '''''', ''''''),
            ('commits', 'commit_message', 'text', '''''', ''''''),
            ('commits', 'is_encoding_valid', 'boolean', 'true', 'true'),
            ('commits', 'lines_added', 'bigint', null, null),
            ('commits', 'lines_deleted', 'bigint', null, null),
            ('commits', 'files_changed', 'integer', null, null),
            ('commits', 'binary_files_changed', 'integer', null, null),
            ('commits', 'source', 'text', '''application''', '''application'''),
            ('commits', 'orphaned_at', 'timestamp with time zone', null, null),
            ('commits', 'created_at', 'timestamp with time zone', 'now()', 'now()'),
            ('commits', 'updated_at', 'timestamp with time zone', 'now()', 'now()'),
            ('repository_contributors', 'id', 'bigint', null, null),
            ('repository_contributors', 'repository_id', 'bigint', null, null),
            ('repository_contributors', 'contributor_id', 'bigint', null, null),
            ('repository_contributors', 'commit_count', 'integer', '0', '0'),
            ('repository_contributors', 'created_at', 'timestamp with time zone', 'now()', 'now()'),
            ('repository_contributors', 'updated_at', 'timestamp with time zone', 'now()', 'now()')
        ) as listed (table_name, column_name, type_name, default_value, filling)
        inner join pg_class as relation
            on
                relation.oid = to_regclass('public.' || listed.table_name)
                and relation.relkind in ('r', 'p')
    loop
        select format_type(atttypid, null) into found
        from pg_attribute
        where attrelid = wanted.oid and attname = wanted.column_name and not attisdropped;
        if found is null then
            execute format(
                'alter table public.%I add column %I %s',
                wanted.table_name, wanted.column_name, wanted.type_name
            );
        elsif found <> wanted.type_name then
            if exists (
                select 1 from pg_attribute
                where attrelid = wanted.oid and attname = wanted.column_name and attidentity = ''
            ) then
                execute format(
                    'alter table public.%I alter column %I drop default, alter column %I type %s using %I%s',
                    wanted.table_name, wanted.column_name, wanted.column_name, wanted.type_name,
                    wanted.column_name,
                    case
                        when found like 'timestamp without%' then ' at time zone ''UTC'''
                        else '::' || wanted.type_name
                    end
                );
            end if;
            sequence := pg_get_serial_sequence('public.' || wanted.table_name, wanted.column_name);
            if sequence is not null then
                execute format('alter sequence %s as bigint', sequence);
                execute format(
                    'alter table public.%I alter column %I set default nextval(%L)',
                    wanted.table_name, wanted.column_name, sequence
                );
            end if;
        end if;
        if wanted.default_value is not null and not exists (
            select 1 from pg_attrdef
            inner join pg_attribute on attrelid = adrelid and attnum = adnum
            where adrelid = wanted.oid and attname = wanted.column_name
        ) then
            execute format(
                'alter table public.%I alter column %I set default %s',
                wanted.table_name, wanted.column_name, wanted.default_value
            );
        end if;
        if wanted.filling is not null and exists (
            select 1 from pg_attribute
            where
                attrelid = wanted.oid and attname = wanted.column_name and not attnotnull
        ) then
            execute format(
                'update public.%I set %I = %s where %I is null',
                wanted.table_name, wanted.column_name, wanted.filling, wanted.column_name
            );
            execute format(
                'alter table public.%I alter column %I set not null',
                wanted.table_name, wanted.column_name
            );
        end if;
    end loop;

    if to_regclass('public.repositories') is not null and exists (
        select 1 from pg_attribute
        where
            attrelid = to_regclass('public.repositories')
            and attname = 'last_attempt'
            and atttypid = 'timestamp'::regtype
    ) then
        update public.repositories
        set last_attempt_at = last_attempt at time zone 'UTC'
        where last_attempt_at is null and last_attempt is not null;
    end if;

    if to_regclass('public.contributors') is not null then
        -- One row of each key has it; others of the same person are merged into that one.
        update public.contributors
        set
            identity_key = case when keyed.place = 1 then keyed.key else 'application:' || keyed.id end,
            merged_into = case when keyed.place > 1 then keyed.first_id end
        from (
            select
                id,
                key,
                row_number() over (partition by key order by id) as place,
                first_value(id) over (partition by key order by id) as first_id
            from (
                select
                    id,
                    coalesce(public.identity_key_of(username, email), 'application:' || id) as key
                from public.contributors
                where identity_key is null
            ) as unkeyed
        ) as keyed
        where contributors.id = keyed.id;
        alter table public.contributors alter column identity_key set not null;
    end if;

    for wanted in
        select
            index_row.indexrelid::regclass::text as index_name,
            pg_constraint.conname
        from pg_index as index_row
        left join pg_constraint
            on pg_constraint.conindid = index_row.indexrelid and pg_constraint.contype = 'u'
        where
            index_row.indrelid = to_regclass('public.commits')
            and index_row.indisunique
            and not index_row.indisprimary
            and (
                select array_agg(attname::text)
                from pg_attribute
                where attrelid = index_row.indrelid and attnum = any(index_row.indkey)
            ) = array['commit_hash']
    loop
        if wanted.conname is null then
            execute 'drop index ' || wanted.index_name;
        else
            execute format('alter table public.commits drop constraint %I', wanted.conname);
        end if;
    end loop;

    -- What rows are merged by has to be unique, under whatever name.
    for wanted in
        select listed.*
        from (
            values
            ('repositories', array['url']),
            ('contributors', array['identity_key']),
            ('commits', array['commit_hash', 'repository_id']),
            ('repository_contributors', array['contributor_id', 'repository_id'])
        ) as listed (table_name, columns)
        where
            to_regclass('public.' || listed.table_name) is not null
            and not exists (
                select 1
                from pg_index
                where
                    indrelid = to_regclass('public.' || listed.table_name)
                    and indisunique
                    and indpred is null
                    and (
                        select array_agg(attname::text order by attname::text)
                        from pg_attribute
                        where attrelid = indrelid and attnum = any(indkey)
                    ) = listed.columns
            )
    loop
        execute format(
            'alter table public.%I add unique (%s)',
            wanted.table_name, array_to_string(wanted.columns, ', ')
        );
    end loop;
end
$$;
