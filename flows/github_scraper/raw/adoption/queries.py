"""What is asked about tables that may be somebody else's, and done to their rows."""

HELD = """
select
    attname,
    format_type(atttypid, null),
    attnotnull,
    atthasdef or attidentity <> '',
    attidentity <> '',
    attgenerated <> '',
    pg_get_serial_sequence(attrelid::regclass::text, attname)
from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""

# Views that stand on a table, the ones that stand on others last.
VIEWS = """
with recursive standing (oid, depth) as (
    select %s::regclass::oid, 0
    union
    select pg_rewrite.ev_class, standing.depth + 1
    from standing
    inner join pg_depend
        on pg_depend.refobjid = standing.oid and pg_depend.classid = 'pg_rewrite'::regclass
    inner join pg_rewrite
        on pg_rewrite.oid = pg_depend.objid and pg_rewrite.ev_class <> standing.oid
    where standing.depth < 50
)

select
    standing.oid::regclass::text,
    format('create view %%s as %%s', standing.oid::regclass, pg_get_viewdef(standing.oid)),
    array(select statement from public.view_details(standing.oid)),
    public.view_stays(standing.oid)
from (select oid, max(depth) as depth from standing where depth > 0 group by oid) as standing
order by standing.depth
"""

# A uniqueness of hashes alone, unless a key of another table leans on it.
BREAKABLE = """
select indexrelid::regclass::text, pg_constraint.conname
from pg_index
left join pg_constraint on pg_constraint.conindid = indexrelid and pg_constraint.contype = 'u'
where
    indrelid = 'public.commits'::regclass
    and indisunique
    and not indisprimary
    and (
        select array_agg(attname::text)
        from pg_attribute
        where attrelid = indrelid and attnum = any(indkey)
    ) = array['commit_hash']
    and not exists (
        select 1 from pg_constraint as leaning
        where leaning.conindid = indexrelid and leaning.contype = 'f'
    )
"""

# By what `on conflict` can find the row that is there.
IS_UNIQUE = """
select exists (
    select 1
    from pg_index
    where
        indrelid = %s::regclass
        and indisunique
        and indisvalid
        and indimmediate
        and indpred is null
        and indexprs is null
        and (
            select array_agg(attname::text order by attname::text)
            from pg_attribute
            where attrelid = indrelid and attnum = any((indkey::smallint[])[0:indnkeyatts - 1])
        ) = %s
)
"""

# Of these `on conflict` takes none, nor another key of the same columns.
DEFERRABLE = """
select conname
from pg_constraint
where
    conrelid = %s::regclass
    and contype in ('u', 'p')
    and condeferrable
    and (
        select array_agg(attname::text order by attname::text)
        from pg_attribute
        where attrelid = conrelid and attnum = any(conkey)
    ) = %s
"""

# No row is merged where a rule changes what is inserted or updated, or keeps what is deleted.
RULES = """
select relname, rulename
from pg_rewrite
inner join pg_class on pg_class.oid = ev_class
where
    relnamespace = 'public'::regnamespace
    and relname = any(%s)
    and relkind in ('r', 'p')
    and (ev_type in ('2', '3') or (ev_type = '4' and is_instead))
order by array_position(%s, relname::text), rulename
"""

# The next run merges them: `tidy_addresses`.
TWINS = """
update public.repositories
set url = url || '#twin-' || id
where exists (
    select 1 from public.repositories as first
    where first.url = repositories.url and first.id < repositories.id
)
"""

OLD_ATTEMPTS = """
update public.repositories
set last_attempt_at = last_attempt at time zone 'UTC'
where last_attempt_at is null and last_attempt is not null
"""

# One row of each key has it; others of the same person are merged into that one.
IDENTITIES = """
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
where contributors.id = keyed.id
"""
