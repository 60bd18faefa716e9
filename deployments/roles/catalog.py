"""What a database says of its roles, schemas, tables and grants."""

ROLES = """
select
    rolname,
    exists(select from unnest(rolconfig) as setting where setting ~ '^client_connection_check'),
    rolconnlimit >= 0,
    rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
from pg_roles where rolname = any(%s)
"""
SCHEMAS = """
select nspname, pg_get_userbyid(nspowner), (select rolsuper from pg_roles where oid = nspowner)
from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1
"""
# Sequences of a column go with its table.
RELATIONS = """
select
    nspname, relname, relkind::text, pg_get_userbyid(relowner), relrowsecurity,
    (select rolsuper from pg_roles where oid = relowner)
from pg_class
inner join pg_namespace on relnamespace = pg_namespace.oid
where
    relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and nspname !~ '^pg_' and nspname <> 'information_schema'
    and not exists (
        select from pg_depend
        where
            objid = pg_class.oid and classid = 'pg_class'::regclass
            and (deptype = 'e' or relkind = 'S' and deptype in ('a', 'i'))
    )
order by 1, 2
"""
ROUTINES = """
select
    nspname, proname, pg_get_userbyid(proowner), pg_proc.oid::regprocedure::text,
    (select rolsuper from pg_roles where oid = proowner),
    -- Nobody but its owner puts such a trigger on a table, and no session chooses what it calls.
    prosecdef and not (
        prorettype = 'trigger'::regtype
        and exists (
            select from unnest(proconfig) as setting
            where setting in ('search_path=pg_catalog', 'search_path=pg_catalog, pg_temp')
        )
        and not exists (
            select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0
        )
    )
from pg_proc
inner join pg_namespace on pronamespace = pg_namespace.oid
where
    nspname !~ '^pg_' and nspname <> 'information_schema'
    and not exists (
        select from pg_depend
        where objid = pg_proc.oid and classid = 'pg_proc'::regclass and deptype = 'e'
    )
order by 1, 2
"""
ON_DATABASE = """
select
    case acl.grantee when 0 then 'public' else pg_get_userbyid(acl.grantee)::text end,
    acl.privilege_type, acl.is_grantable
from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) as acl
where datname = current_database() and acl.grantee <> datdba
"""
ON_SCHEMAS = """
select
    nspname, '',
    case acl.grantee when 0 then 'public' else pg_get_userbyid(acl.grantee)::text end,
    acl.privilege_type, acl.is_grantable
from pg_namespace, aclexplode(nspacl) as acl
where acl.grantee <> nspowner
"""
ON_RELATIONS = """
select
    nspname, relname,
    case acl.grantee when 0 then 'public' else pg_get_userbyid(acl.grantee)::text end,
    acl.privilege_type, acl.is_grantable
from pg_class
inner join pg_namespace on relnamespace = pg_namespace.oid
cross join aclexplode(relacl) as acl
where acl.grantee <> relowner
"""
ON_COLUMNS = """
select
    distinct nspname, relname, quote_ident(attname),
    case acl.grantee when 0 then 'public' else pg_get_userbyid(acl.grantee)::text end,
    acl.privilege_type
from pg_attribute
inner join pg_class on attrelid = pg_class.oid
inner join pg_namespace on relnamespace = pg_namespace.oid
cross join aclexplode(attacl) as acl
where acl.grantee <> relowner
order by 1, 2, 3
"""
ON_ROUTINES_OF_THE_SYSTEM = """
select distinct pg_proc.oid::regprocedure::text, pg_get_userbyid(acl.grantee)::text
from pg_proc, aclexplode(proacl) as acl
where pronamespace = 'pg_catalog'::regnamespace and acl.grantee <> proowner
order by 1, 2
"""
SEQUENCES = """
select nspname, relname from pg_class
inner join pg_namespace on relnamespace = pg_namespace.oid
where relkind = 'S'
"""
BY_DEFAULT = """
select
    coalesce(nspname, ''), pg_get_userbyid(defaclrole),
    case acl.grantee when 0 then 'public' else pg_get_userbyid(acl.grantee)::text end,
    acl.privilege_type,
    acl.is_grantable
from pg_default_acl
left join pg_namespace on defaclnamespace = pg_namespace.oid
cross join aclexplode(defaclacl) as acl
where defaclobjtype = 'r' and acl.grantee <> defaclrole
"""
SEQUENCES_OF = """
select pg_namespace.nspname, sequences.relname
from pg_depend
inner join pg_class as sequences on objid = sequences.oid and sequences.relkind = 'S'
inner join pg_class as tables on refobjid = tables.oid
inner join pg_namespace on tables.relnamespace = pg_namespace.oid
where
    deptype in ('a', 'i')
    and pg_depend.classid = 'pg_class'::regclass
    and pg_namespace.nspname = 'public'
    and tables.relkind <> 'v'
    and tables.relname = any(%s)
"""
MEMBERSHIPS = """
select pg_get_userbyid(member), pg_get_userbyid(roleid) from pg_auth_members
where pg_get_userbyid(member)::text = any(%s) order by 1, 2
"""
POLICIES = """
select schemaname, tablename, unnest(roles)::text from pg_policies where cmd in ('SELECT', 'ALL')
"""
