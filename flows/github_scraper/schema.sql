create table if not exists public.repositories (
    id bigint generated always as identity primary key,
    url text not null unique,
    path_name text,
    state text not null default 'pending'
        check (state in ('pending', 'in_progress', 'completed', 'failed')),
    error_message text,
    is_empty boolean not null default false,
    last_attempt_at timestamptz,
    last_processed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table if not exists public.contributors (
    id bigint generated always as identity primary key,
    identity_key text not null unique,
    username text unique,
    email text unique,
    display_name text,
    profile_url text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table if not exists public.commits (
    id bigint generated always as identity primary key,
    repository_id bigint not null references public.repositories (id),
    contributor_id bigint not null references public.contributors (id),
    commit_hash text not null,
    parent_hashes text[] not null,
    commit_date timestamptz not null,
    committed_at timestamptz not null,
    author_epoch_seconds numeric,
    author_utc_offset text not null,
    committer_epoch_seconds numeric,
    committer_utc_offset text not null,
    is_date_clamped boolean not null,
    author_name text not null,
    author_email text not null,
    author_name_mapped text not null,
    author_email_mapped text not null,
    committer_name text not null,
    committer_email text not null,
    committer_name_mapped text not null,
    committer_email_mapped text not null,
    commit_message text not null,
    is_encoding_valid boolean not null,
    lines_added bigint,
    lines_deleted bigint,
    files_changed integer,
    binary_files_changed integer,
    source text not null,
    orphaned_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (repository_id, commit_hash)
);

create index if not exists commits_repository_date on public.commits (repository_id, commit_date);
create index if not exists commits_contributor_date on public.commits (contributor_id, commit_date);
create index if not exists commits_date on public.commits (commit_date);
create index if not exists commits_updated_at on public.commits (updated_at);

create table if not exists public.commit_coauthors (
    repository_id bigint not null,
    commit_hash text not null,
    position integer not null,
    contributor_id bigint not null references public.contributors (id),
    name text not null,
    email text not null,
    created_at timestamptz not null default now(),
    primary key (repository_id, commit_hash, position),
    foreign key (repository_id, commit_hash)
        references public.commits (repository_id, commit_hash)
);

create table if not exists public.repository_contributors (
    id bigint generated always as identity primary key,
    repository_id bigint not null references public.repositories (id),
    contributor_id bigint not null references public.contributors (id),
    commit_count integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (repository_id, contributor_id)
);

create table if not exists public.repository_heads (
    repository_id bigint primary key references public.repositories (id),
    ref text not null,
    head_hash text not null,
    mailmap_hash text,
    shallow_boundary text[] not null default '{}',
    observed_at timestamptz not null default now()
);

-- Columns that came after the first release. A contributor row stands for one identity; the
-- account of a person with several is one of them, and `merged_into` of the others names it.
alter table public.repositories
    add column if not exists github_id bigint unique,
    add column if not exists node_id text unique,
    add column if not exists missing_first_seen_at timestamptz,
    add column if not exists missing_since timestamptz,
    add column if not exists failed_attempts integer not null default 0,
    add column if not exists paused_at timestamptz,
    add column if not exists retired_at timestamptz,
    add column if not exists retired_because text;

-- What the application may write besides its own columns is made up here: it knows no identities,
-- and its counts of a repository that is loaded are those of the commits. Functions of triggers read
-- with the rights of their owner, so that who writes needs none on what is behind a view, and look
-- names up nowhere else, whatever the session says. Nobody else may put them on a table.
create or replace function public.complete_repository()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- Of a name that GitHub gave anew, or of a twin that is merged with the next run.
    suffix text := substring(new.url from '#(?:twin-)?[0-9]+$');
    known text := public.repository_address(new.url);
begin
    if known is null and new.url is not null then
        known := 'withheld:' || new.id;
        if known <> new.url then
            new.paused_at := coalesce(new.paused_at, clock_timestamp());
            new.error_message := 'A part of its address may be a credential and was not kept: give a '
            'clone address such as https://github.com/owner/name, and a token in a Secret block';
        end if;
        new.path_name := null;
    elsif position(lower(new.path_name) in lower(known)) = 0 then
        new.path_name := public.bare_address(new.path_name);
    end if;
    if suffix in ('#' || new.github_id, '#twin-' || new.id) then
        known := known || suffix;
    end if;
    new.url := known;
    return new;
end
$$;

-- An identity is its address: another one is another identity.
create or replace function public.keep_identity()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    new.profile_url := public.bare_address(new.profile_url);
    if tg_op = 'UPDATE' and new.identity_key like 'email:%' and new.email is distinct from old.email then
        if public.identity_key_of(null, old.email) = new.identity_key then
            new.email := old.email;
        elsif public.identity_key_of(null, new.email) is distinct from new.identity_key then
            new.email := null;
        end if;
    end if;
    return new;
end
$$;

create or replace function public.complete_contributor()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    new.identity_key := public.identity_key_of(new.username, new.email);
    if new.identity_key is null then
        new.identity_key := 'application:' || new.id;
        return new;
    end if;
    select coalesce(merged_into, id) into new.merged_into
    from public.contributors
    where identity_key = new.identity_key;
    if found then
        new.identity_key := 'application:' || new.id;
    end if;
    return new;
end
$$;

create or replace function public.complete_commit()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    new.is_date_clamped := new.is_date_clamped or new.commit_date is null;
    new.commit_date := coalesce(new.commit_date, new.committed_at, 'epoch');
    new.committed_at := coalesce(new.committed_at, new.commit_date);
    new.identity_id := coalesce(new.identity_id, new.contributor_id);
    new.commit_message := coalesce(new.commit_message, '');
    return new;
end
$$;

-- The transactions that `recount_contributions` counts in, each while it does: a setting could be set
-- by anybody.
create schema if not exists github_api;

-- Loads take turns, from where they touch rows that repositories share, by a lock of this empty table,
-- which roles that only read cannot take, as they could an advisory one.
create table if not exists github_api.merge_turns ();

create table if not exists github_api.counting (transaction_id xid8 primary key);

create or replace function public.keep_commit_count()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select 1 from github_api.counting where transaction_id = pg_current_xact_id()
    ) or not exists (
        select 1
        from public.repository_heads
        where repository_id = case when tg_op = 'INSERT' then new.repository_id else old.repository_id end
    ) then
        return coalesce(new, old);
    end if;
    if tg_op = 'DELETE' then
        return null;
    end if;
    if tg_op = 'UPDATE' then
        new.repository_id := old.repository_id;
        new.contributor_id := old.contributor_id;
    end if;
    select count(*) into new.commit_count
    from public.commits
    where
        repository_id = new.repository_id
        and contributor_id = new.contributor_id
        and orphaned_at is null
        and source <> 'application';
    return new;
end
$$;

-- Who deletes through a view of the application's names is told what it would take away.
create or replace function public.keep_loaded()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_table_name = 'repositories' then
        if exists (select 1 from public.commits where repository_id = old.id)
        or exists (select 1 from public.repository_heads where repository_id = old.id) then
            raise foreign_key_violation using
                message = format('the repository %s is loaded, and its commits would go with it', old.url),
                hint = format(
                    'Take it out of the schedule instead: python -m flows.github_scraper retire %s', old.url
                );
        end if;
    elsif exists (select 1 from public.commits where identity_id = old.id or contributor_id = old.id) then
        raise foreign_key_violation using
            message = format('the contributor %s has commits', old.id),
            hint = 'List who it is in public.contributor_aliases, or retire the repositories of the commits';
    end if;
    return old;
end
$$;

revoke execute on function
public.keep_loaded(),
public.complete_repository(),
public.keep_identity(),
public.complete_contributor(),
public.complete_commit(),
public.keep_commit_count()
from public;

-- Who put a repository on the list: a run, for a person, or the application, for anybody who asks it.
do $$
begin
    if not exists (
        select 1
        from pg_attribute
        where attrelid = 'public.repositories'::regclass and attname = 'named_by'
    ) then
        alter table public.repositories
            add column named_by text not null default 'run',
            alter column named_by set default 'application';
    end if;
end
$$;

create or replace trigger complete_repository
before insert or update on public.repositories
for each row execute function public.complete_repository();

-- What was stored before. Two that become one address are merged by the next run.
update public.repositories
set
    url = case
        when public.bare_address(url) is null then url
        when exists (
            select 1
            from public.repositories as other
            where
                other.id <> repositories.id
                and public.repository_address(other.url) = public.repository_address(repositories.url)
        ) then url || '#twin-' || id
        else url
    end,
    updated_at = clock_timestamp()
where
    url <> 'withheld:' || id
    and coalesce(url not in (
        public.bare_address(url) || '#' || github_id, public.bare_address(url) || '#twin-' || id
    ), true)
    and (
        public.bare_address(url) is distinct from url
        or (
            position(lower(path_name) in lower(public.bare_address(url))) = 0
            and public.bare_address(path_name) is distinct from path_name
        )
    );

-- No trigger names a column of the application's, which it could not alter then.
create or replace trigger keep_identity
before insert or update on public.contributors
for each row execute function public.keep_identity();

update public.contributors
set profile_url = profile_url, updated_at = clock_timestamp()
where public.bare_address(profile_url) is distinct from profile_url;

create or replace trigger keep_loaded
before delete on public.repositories
for each row execute function public.keep_loaded();

create or replace trigger keep_loaded
before delete on public.contributors
for each row execute function public.keep_loaded();

create or replace trigger keep_commit_count
before insert or update or delete on public.repository_contributors
for each row execute function public.keep_commit_count();


do $$
begin
    if not exists (
        select 1
        from pg_constraint
        where
            conrelid = 'public.repositories'::regclass
            and contype = 'c'
            and pg_get_constraintdef(oid) like '%users_processing%'
    )
    -- An application that made the states a type of its own sees to them itself.
    and exists (
        select 1
        from pg_attribute
        where
            attrelid = 'public.repositories'::regclass
            and attname = 'state'
            and atttypid in ('text'::regtype, 'varchar'::regtype)
    ) then
        alter table public.repositories drop constraint if exists repositories_state_check;
        alter table public.repositories add constraint repositories_state_check check (
            state in (
                'pending', 'in_progress', 'completed', 'failed',
                'commits_processing', 'users_processing'
            )
        );
    end if;
end
$$;

-- `reading` is 0 for what was read before its rules had numbers. `signed_login` is the login that
-- an account's newest noreply address carries.
alter table public.repository_heads
    add column if not exists reading integer not null default 0,
    add column if not exists attributes_hash text;

alter table public.contributors
    add column if not exists account_id bigint,
    add column if not exists account_type text,
    add column if not exists signed_login text,
    add column if not exists merged_into bigint references public.contributors (id);

drop index if exists public.contributors_login;
create index if not exists contributors_login_folded
on public.contributors (public.folded_email(username));
create index if not exists contributors_email_folded
on public.contributors (public.folded_email(email));
create index if not exists contributors_account_id on public.contributors (account_id);
create index if not exists contributors_merged_into on public.contributors (merged_into);

-- A table that was fitted has the column and not the key.
do $$
begin
    if not exists (
        select 1 from pg_constraint
        where conrelid = 'public.contributors'::regclass and confrelid = conrelid and contype = 'f'
    ) then
        alter table public.contributors
        add foreign key (merged_into) references public.contributors (id);
    end if;
end
$$;

alter table public.commits
    add column if not exists stats_error text,
    add column if not exists lines_added_vendored bigint,
    add column if not exists lines_deleted_vendored bigint,
    add column if not exists lines_added_generated bigint,
    add column if not exists lines_deleted_generated bigint,
    add column if not exists lines_added_locked bigint,
    add column if not exists lines_deleted_locked bigint;

do $$
begin
    if not exists (
        select 1
        from information_schema.columns
        where table_schema = 'public' and table_name = 'commits' and column_name = 'identity_id'
    ) then
        alter table public.commits
            add column identity_id bigint references public.contributors (id);
        update public.commits set identity_id = contributor_id;
        alter table public.commits alter column identity_id set not null;
        create index commits_identity_id on public.commits (identity_id);
        alter table public.commit_coauthors
            add column identity_id bigint references public.contributors (id);
        update public.commit_coauthors set identity_id = contributor_id;
        alter table public.commit_coauthors alter column identity_id set not null;
        create index commit_coauthors_identity_id on public.commit_coauthors (identity_id);
    end if;
end
$$;

create or replace trigger complete_contributor
before insert on public.contributors
for each row when (new.identity_key is null) execute function public.complete_contributor();

create or replace trigger complete_commit
before insert on public.commits
for each row
when (new.committed_at is null or new.identity_id is null or new.commit_message is null)
execute function public.complete_commit();

create table if not exists public.repository_names (
    repository_id bigint not null references public.repositories (id),
    valid_from timestamptz not null,
    name_with_owner text not null,
    primary key (repository_id, valid_from)
);

create table if not exists public.repository_metadata (
    repository_id bigint primary key references public.repositories (id),
    name_with_owner text not null,
    description text,
    stars bigint not null,
    forks bigint not null,
    licence text,
    primary_language text,
    topics text[],
    languages jsonb,
    is_archived boolean not null,
    is_fork boolean not null,
    is_private boolean not null,
    disk_kilobytes bigint,
    default_branch text,
    pushed_at timestamptz,
    details_observed_at timestamptz,
    updated_at timestamptz not null
);

create table if not exists public.email_accounts (
    email text primary key,
    login text,
    account_id bigint,
    account_type text,
    commit_hash text not null,
    repository_id bigint not null references public.repositories (id),
    looked_up_at timestamptz not null
);

-- Why two identities count as one contributor. `reverted_at` is set by a person, through
-- `select public.revert_contributor_merge(id)`: the pair is then left apart for good.
create table if not exists public.contributor_merges (
    id bigint generated always as identity primary key,
    contributor_id bigint not null references public.contributors (id),
    merged_into bigint not null references public.contributors (id),
    rule text not null,
    evidence text not null,
    merged_at timestamptz not null default now(),
    ended_at timestamptz,
    reverted_at timestamptz
);

-- People whom somebody lists as one: e-mails, logins, or identity keys. A row that is deleted is
-- undone by the next run.
create table if not exists public.contributor_aliases (
    alias text primary key,
    person text not null,
    note text,
    created_at timestamptz not null default now(),
    constraint alias_is_another_than_the_person check (
        public.folded_email(alias) <> public.folded_email(person)
    )
);

-- Addresses that the application wrote into the row of another identity than theirs, and that this
-- row gave up when somebody signed with them.
create table if not exists public.contributor_email_conflicts (
    contributor_id bigint not null references public.contributors (id) on delete cascade,
    email text not null,
    noticed_at timestamptz not null,
    primary key (contributor_id, email)
);

-- Which organization a domain of addresses (with all below it) belonged to, and when: from the first
-- day up to, and without, the last. Marts read it as it is, so that a row that is changed or deleted
-- is undone by the next build.
create table if not exists public.organization_domains (
    id bigint generated always as identity primary key,
    domain text not null constraint domain_is_written_like_example_org
        check (public.is_email_domain(domain)),
    organization text not null constraint organization_is_not_blank
        check (organization ~ '[^[:space:]]'),
    valid_from date,
    valid_to date constraint valid_to_is_after_valid_from check (valid_to > valid_from),
    note text,
    created_at timestamptz not null default now()
);

-- People fill these tables by hand: the name of a rule is all that they are told of it.
do $$
declare
    rule record;
begin
    for rule in
        select owned.conrelid::regclass as of_table, owned.conname as former, named.name
        from (values
            ('organization_domains', 'organization_domains_domain_check',
                'domain_is_written_like_example_org'),
            ('organization_domains', 'organization_domains_organization_check',
                'organization_is_not_blank'),
            ('organization_domains', 'organization_domains_check', 'valid_to_is_after_valid_from')
        ) as named (of_table, former, name)
        inner join pg_constraint as owned
            on owned.conrelid = to_regclass('public.' || named.of_table)
            and owned.conname = named.former
    loop
        execute format('alter table %s rename constraint %I to %I',
            rule.of_table, rule.former, rule.name);
    end loop;
    -- Its letters were those of the database's locale: rows that are there are left alone.
    if exists (
        select 1 from pg_constraint
        where
            conrelid = 'public.contributor_aliases'::regclass
            and conname = 'contributor_aliases_check'
    ) then
        alter table public.contributor_aliases drop constraint contributor_aliases_check;
        alter table public.contributor_aliases add constraint alias_is_another_than_the_person
        check (public.folded_email(alias) <> public.folded_email(person)) not valid;
    end if;
    -- Lines that are there and break a rule that came later stay, and a run tells them.
    for rule in
        select named.name, named.wanted
        from (values
            ('domain_is_written_like_example_org', 'public.is_email_domain(domain)', '%is_email_domain%'),
            ('organization_is_not_blank', 'organization ~ ''[^[:space:]]''', '%~%')
        ) as named (name, wanted, looks)
        inner join pg_constraint as owned
            on owned.conrelid = 'public.organization_domains'::regclass
            and owned.conname = named.name
            and pg_get_constraintdef(owned.oid) not like named.looks
    loop
        execute format(
            'alter table public.organization_domains drop constraint %I, add constraint %I check (%s) not valid',
            rule.name, rule.name, rule.wanted
        );
    end loop;
end
$$;

-- Lines of before may break these rules and stay, also where the purge of a person changes their note.
create or replace function public.check_alias()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if not (public.is_name_of_contributor(new.alias) and public.is_name_of_contributor(new.person)) then
        raise check_violation using
            message = 'new row for relation "contributor_aliases" violates check constraint'
            ' "name_is_an_address_a_login_or_an_identity_key"',
            hint = 'Write ada@example.org, Ada <ada@example.org>, ada or account:9',
            schema = 'public', table = 'contributor_aliases',
            constraint = 'name_is_an_address_a_login_or_an_identity_key';
    end if;
    perform pg_advisory_xact_lock(7310003, hashtext(public.folded_email(new.alias)));
    -- The same spelling is the business of the primary key.
    if exists (
        select 1
        from public.contributor_aliases
        where
            public.folded_email(alias) = public.folded_email(new.alias)
            and alias not in (new.alias, coalesce(old.alias, new.alias))
    ) then
        raise unique_violation using
            message = 'duplicate key value violates unique constraint "alias_is_listed_once"',
            hint = 'It is there in another case of letters or with other blanks: change that line',
            schema = 'public', table = 'contributor_aliases', constraint = 'alias_is_listed_once';
    end if;
    return new;
end
$$;

revoke execute on function public.check_alias() from public;

create index if not exists contributor_aliases_folded
on public.contributor_aliases (public.folded_email(alias));

create or replace trigger check_alias
before insert or update of alias, person on public.contributor_aliases
for each row execute function public.check_alias();

create or replace function public.tidy_domain()
returns trigger
language plpgsql
as $$
begin
    new.domain := public.tidied_domain(new.domain);
    return new;
end
$$;

create or replace trigger tidy_domain
before insert or update of domain on public.organization_domains
for each row execute function public.tidy_domain();

update public.organization_domains
set domain = domain
where domain ~ '^[*]' and public.is_email_domain(public.tidied_domain(domain)) and organization ~ '[^[:space:]]';

create unique index if not exists contributor_merges_one_open
on public.contributor_merges (contributor_id) where ended_at is null;

-- Through the mailmap; NULL in rows of before that are not read anew yet.
alter table public.commit_coauthors
    add column if not exists name_mapped text,
    add column if not exists email_mapped text;

create index if not exists commit_coauthors_contributor_id
on public.commit_coauthors (contributor_id);

-- Every login that reachable commits show for an account of which they carry the number.
create table if not exists public.account_logins (
    contributor_id bigint not null references public.contributors (id) on delete cascade,
    login text not null,
    primary key (contributor_id, login)
);

-- Every login that somebody else than the merge of accounts, such as the application, gave a
-- contributor whose signatures tell none. `shown_login` is the one that the merge shows it with.
create table if not exists public.given_logins (
    contributor_id bigint not null references public.contributors (id) on delete cascade,
    login text not null,
    given_at timestamptz not null,
    primary key (contributor_id, login)
);

create index if not exists given_logins_login on public.given_logins (public.folded_email(login));

do $$
begin
    if not exists (
        select 1
        from pg_attribute
        where attrelid = 'public.contributors'::regclass and attname = 'shown_login'
    ) then
        alter table public.contributors add column shown_login text;
        -- Before there was the column, merges alone gave a login to these.
        update public.contributors
        set shown_login = username
        where
            username is not null
            and (
                signed_login is not null
                or exists (
                    select 1 from public.email_accounts
                    where email_accounts.email = contributors.email and email_accounts.login is not null
                )
                or (
                    identity_key not like 'account:%'
                    and exists (
                        select 1 from public.contributors as other
                        where other.merged_into = contributors.id
                    )
                )
            );
    end if;
end
$$;

-- One row per UTC day on which a run measured the tables.
create table if not exists public.database_sizes (
    measured_on date primary key,
    bytes bigint not null
);

create or replace function public.recount_contributions(repository_ids bigint [])
returns void
language plpgsql
as $$
begin
    insert into github_api.counting (transaction_id) values (pg_current_xact_id())
    on conflict (transaction_id) do nothing;

    insert into public.repository_contributors as counted
        (repository_id, contributor_id, commit_count)
    select repository_id, contributor_id, count(*)
    from public.commits
    where
        repository_id = any(repository_ids)
        and orphaned_at is null
        and source <> 'application'
    group by repository_id, contributor_id
    on conflict (repository_id, contributor_id) do update
    set commit_count = excluded.commit_count, updated_at = clock_timestamp()
    where counted.commit_count <> excluded.commit_count;

    delete from public.repository_contributors as counted
    where
        repository_id = any(repository_ids)
        and not exists (
            select 1
            from public.commits
            where
                commits.repository_id = counted.repository_id
                and commits.contributor_id = counted.contributor_id
                and commits.orphaned_at is null
                and commits.source <> 'application'
        );

    delete from github_api.counting where transaction_id = pg_current_xact_id();
end
$$;

create or replace function public.revert_contributor_merge(merge_id bigint)
returns void
language plpgsql
as $$
declare
    apart bigint;
begin
    -- The turn of all loads (TAKE_MERGE_TURN in raw/commits.py): incremental models rely on it.
    lock table github_api.merge_turns in exclusive mode;
    update public.contributor_merges
    set reverted_at = clock_timestamp(), ended_at = coalesce(ended_at, clock_timestamp())
    where id = merge_id
    returning contributor_id into apart;
    if apart is null then
        raise exception 'there is no merge %', merge_id;
    end if;
    update public.contributors
    set merged_into = null, updated_at = clock_timestamp()
    where id = apart;
    update public.commits
    set contributor_id = apart, updated_at = clock_timestamp()
    where identity_id = apart and contributor_id <> apart;
    update public.commit_coauthors set contributor_id = apart where identity_id = apart;
    perform public.recount_contributions(
        array(select distinct repository_id from public.commits where identity_id = apart)
    );
end
$$;

-- State of the API client, shared by all runs that use the same database. It holds no token: an
-- identity is `user:<id>` or `installation:<id>`.
create schema if not exists github_api;

-- People who were purged: hashes of their names under a key, and the pseudonym for each.
create table if not exists github_api.purged_key (
    is_only_row boolean primary key default true check (is_only_row),
    key bytea not null
);

create table if not exists github_api.purged_names (
    name_hash bytea primary key,
    words integer not null,
    person text not null,
    purged_at timestamptz not null default now()
);

-- Two bytes of a hash of the first word of a name that texts may hold.
alter table github_api.purged_names add column if not exists beginning integer;

create table if not exists github_api.budgets (
    identity text not null,
    bucket text not null check (bucket in ('core', 'graphql', 'search')),
    points_limit integer,
    remaining integer,
    reset_at timestamptz,
    parked_until timestamptz,
    parked_because text,
    strikes integer not null default 0,
    concurrency double precision not null default 2,
    last_sent_at timestamptz,
    primary key (identity, bucket)
);

create table if not exists github_api.requests (
    id bigint generated always as identity primary key,
    identity text not null,
    bucket text not null,
    points integer not null,
    sent_at timestamptz not null,
    lease_until timestamptz
);

create index if not exists requests_identity on github_api.requests (identity, sent_at);

create table if not exists github_api.responses (
    identity text not null,
    url text not null,
    accept text not null,
    etag text,
    last_modified text,
    link text,
    body jsonb not null,
    stored_at timestamptz not null,
    primary key (identity, url, accept)
);

create table if not exists github_api.walks (
    repository_id bigint primary key references public.repositories (id),
    walk text not null,
    source text not null,
    ref text not null,
    head_hash text not null,
    mailmap_hash text,
    mailmap text not null,
    base_hash text,
    expected bigint,
    is_rewritten boolean not null,
    position text,
    pages integer not null default 0,
    is_complete boolean not null default false,
    started_at timestamptz not null,
    updated_at timestamptz not null
);

create table if not exists github_api.walk_commits (
    repository_id bigint not null references public.repositories (id),
    commit_hash text not null,
    parent_hashes text[] not null,
    identity_key text not null,
    username text,
    email text,
    account_id bigint,
    commit_date timestamptz not null,
    committed_at timestamptz not null,
    author_epoch_seconds numeric,
    author_utc_offset text not null,
    committer_epoch_seconds numeric,
    committer_utc_offset text not null,
    is_date_clamped boolean not null,
    author_name text not null,
    author_email text not null,
    author_name_mapped text not null,
    author_email_mapped text not null,
    committer_name text not null,
    committer_email text not null,
    committer_name_mapped text not null,
    committer_email_mapped text not null,
    commit_message text not null,
    is_encoding_valid boolean not null,
    lines_added bigint,
    lines_deleted bigint,
    files_changed integer,
    binary_files_changed integer,
    stats_error text,
    coauthors jsonb
);

create index if not exists walk_commits_hash
on github_api.walk_commits (repository_id, commit_hash);

alter table github_api.walks add column if not exists reading integer not null default 0;

-- In the order in which a commit is copied, at the end.
alter table github_api.walk_commits
    add column if not exists lines_added_vendored bigint,
    add column if not exists lines_deleted_vendored bigint,
    add column if not exists lines_added_generated bigint,
    add column if not exists lines_deleted_generated bigint,
    add column if not exists lines_added_locked bigint,
    add column if not exists lines_deleted_locked bigint;

-- The leaderboard application has its own quoted names. Where its tables exist they stay its own:
-- `raw/application.py` reads and fills them. Where they do not, these views stand in for them; they
-- are plain enough to be written through, also with `on conflict`.
do $$
declare
    detail text;
    details text [];
    of_columns name [];
    listed record;
begin
    for listed in
        select *
        from (
            values
            (
                'Repository',
                'select id, url, path_name as "pathName", state, last_attempt_at as "lastAttempt",'
                ' last_processed_at as "lastProcessedAt", created_at as "createdAt",'
                ' updated_at as "updatedAt" from public.repositories'
            ),
            (
                'Contributor',
                'select id, username, email, profile_url as "profileUrl", created_at as "createdAt",'
                ' updated_at as "updatedAt" from public.contributors'
            ),
            (
                'RepositoryContributor',
                'select id, repository_id as "repositoryId", contributor_id as "contributorId",'
                ' commit_count as "commitCount", created_at as "createdAt",'
                ' updated_at as "updatedAt" from public.repository_contributors'
            )
        ) as views (name, query)
        left join pg_class on pg_class.oid = to_regclass(format('public.%I', views.name))
        where
            pg_class.oid is null
            or (
                pg_class.relkind = 'v'
                and exists (
                    select 1
                    from pg_attribute
                    where
                        attrelid = pg_class.oid
                        and attname = 'createdAt'
                        and atttypid = 'timestamp'::regtype
                )
            )
    loop
        if public.view_stays(to_regclass(format('public.%I', listed.name))) then
            raise exception
                'the view "%" has a trigger or a rule and cannot be made anew in the shape that can be '
                'written through: drop the trigger or rule until the next run', listed.name;
        end if;
        select
            coalesce(array_agg(statement), '{}'),
            coalesce(array_agg(column_name), '{}')
        into details, of_columns
        from public.view_details(to_regclass(format('public.%I', listed.name)));
        execute format('drop view if exists public.%I', listed.name);
        execute format('create view public.%I as %s', listed.name, listed.query);
        for detail in
            select statement
            from unnest(details, of_columns) as former (statement, column_name)
            where
                column_name is null
                or exists (
                    select 1
                    from pg_attribute
                    where
                        attrelid = to_regclass(format('public.%I', listed.name))
                        and attname = former.column_name
                )
        loop
            execute detail;
        end loop;
    end loop;
end
$$;

-- Which rows of the application's own tables are which of ours. Empty where it has none.
create table if not exists public.application_repositories (
    application_id bigint primary key,
    repository_id bigint not null references public.repositories (id) on delete cascade
);

create table if not exists public.application_contributors (
    contributor_id bigint primary key references public.contributors (id) on delete cascade,
    application_id bigint not null
);
