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

-- The leaderboard application reads its own quoted names. Where its tables exist they stay as they
-- are; where they do not, these views stand in for them.
do $$
begin
    if to_regclass('public."Repository"') is null then
        create view public."Repository" as
        select
            id,
            url,
            path_name as "pathName",
            state,
            (last_attempt_at at time zone 'UTC')::timestamp(3) as "lastAttempt",
            (last_processed_at at time zone 'UTC')::timestamp(3) as "lastProcessedAt",
            (created_at at time zone 'UTC')::timestamp(3) as "createdAt",
            (updated_at at time zone 'UTC')::timestamp(3) as "updatedAt"
        from public.repositories;
    end if;
    if to_regclass('public."Contributor"') is null then
        create view public."Contributor" as
        select
            id,
            username,
            email,
            profile_url as "profileUrl",
            (created_at at time zone 'UTC')::timestamp(3) as "createdAt",
            (updated_at at time zone 'UTC')::timestamp(3) as "updatedAt"
        from public.contributors;
    end if;
    if to_regclass('public."RepositoryContributor"') is null then
        create view public."RepositoryContributor" as
        select
            id,
            repository_id as "repositoryId",
            contributor_id as "contributorId",
            commit_count as "commitCount",
            (created_at at time zone 'UTC')::timestamp(3) as "createdAt",
            (updated_at at time zone 'UTC')::timestamp(3) as "updatedAt"
        from public.repository_contributors;
    end if;
end
$$;
