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
    add column if not exists failed_attempts integer not null default 0;

-- Addresses as they were kept before they had one spelling each. Where two rows are one repository,
-- both stay as they are; only the one with the spelling of today is loaded further.
update public.repositories
set url = spelled.url
from (
    select
        id,
        case
            when url like 'file:///%' then rtrim(substr(url, 8), '/')
            else 'https://github.com/' || regexp_replace(
                regexp_replace(lower(url), '^[a-z]+://[^/]*/+', ''), '(\.git)?/*$', ''
            )
        end as url
    from public.repositories
    where
        url like 'file:///%'
        or lower(url) ~ '^(https?|ssh|git)://([^@/]*@)?((www|ssh)\.)?github\.com(:[0-9]+)?/+[^/#]+/[^/#]+/*$'
) as spelled
where
    repositories.id = spelled.id
    and repositories.url <> spelled.url
    and not exists (
        select 1
        from public.repositories as other
        where other.id <> repositories.id and lower(other.url) = lower(spelled.url)
    );

alter table public.contributors
    add column if not exists account_id bigint,
    add column if not exists account_type text,
    add column if not exists merged_into bigint references public.contributors (id);

create index if not exists contributors_login on public.contributors (lower(username));
create index if not exists contributors_account_id on public.contributors (account_id);
create index if not exists contributors_merged_into on public.contributors (merged_into);

alter table public.commits add column if not exists stats_error text;

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

create unique index if not exists contributor_merges_one_open
on public.contributor_merges (contributor_id) where ended_at is null;

-- One row per UTC day on which a run measured the tables.
create table if not exists public.database_sizes (
    measured_on date primary key,
    bytes bigint not null
);

create or replace function public.recount_contributions(repository_ids bigint [])
returns void
language sql
as $$
    insert into public.repository_contributors as counted
        (repository_id, contributor_id, commit_count)
    select repository_id, contributor_id, count(*)
    from public.commits
    where repository_id = any(repository_ids) and orphaned_at is null
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
        );
$$;

create or replace function public.revert_contributor_merge(merge_id bigint)
returns void
language plpgsql
as $$
declare
    apart bigint;
begin
    -- The lock of all loads (MERGE_LOCK in raw/commits.py): incremental models rely on it.
    perform pg_advisory_xact_lock(7310002);
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

-- The leaderboard application reads its own quoted names. Where its tables exist they stay as they
-- are; where they do not, these views stand in for them (`?schema=leaderboard`): outside of
-- `public`, where the application may create its own, and on functions, whose text keeps nobody
-- from altering a table.
do $$
begin
    if to_regclass('public."Repository"') is null then
        create schema if not exists leaderboard;
        create or replace function leaderboard.repositories()
        returns table (
            id bigint, url text, "pathName" text, state text, "lastAttempt" timestamp(3),
            "lastProcessedAt" timestamp(3), "createdAt" timestamp(3), "updatedAt" timestamp(3)
        )
        language sql stable as $rows$
            select
                id, url, path_name, state::text,
                (last_attempt_at at time zone 'UTC')::timestamp(3),
                (last_processed_at at time zone 'UTC')::timestamp(3),
                (created_at at time zone 'UTC')::timestamp(3),
                (updated_at at time zone 'UTC')::timestamp(3)
            from public.repositories
        $rows$;
        create or replace view leaderboard."Repository" as
        select * from leaderboard.repositories();
    end if;
    if to_regclass('public."Contributor"') is null then
        create schema if not exists leaderboard;
        create or replace function leaderboard.contributors()
        returns table (
            id bigint, username text, email text, "profileUrl" text,
            "createdAt" timestamp(3), "updatedAt" timestamp(3)
        )
        language sql stable as $rows$
            select
                id, username, email, profile_url,
                (created_at at time zone 'UTC')::timestamp(3),
                (updated_at at time zone 'UTC')::timestamp(3)
            from public.contributors
        $rows$;
        create or replace view leaderboard."Contributor" as
        select * from leaderboard.contributors();
    end if;
    if to_regclass('public."RepositoryContributor"') is null then
        create schema if not exists leaderboard;
        create or replace function leaderboard.repository_contributors()
        returns table (
            id bigint, "repositoryId" bigint, "contributorId" bigint, "commitCount" bigint,
            "createdAt" timestamp(3), "updatedAt" timestamp(3)
        )
        language sql stable as $rows$
            select
                id, repository_id, contributor_id, commit_count,
                (created_at at time zone 'UTC')::timestamp(3),
                (updated_at at time zone 'UTC')::timestamp(3)
            from public.repository_contributors
        $rows$;
        create or replace view leaderboard."RepositoryContributor" as
        select * from leaderboard.repository_contributors();
    end if;
end
$$;
