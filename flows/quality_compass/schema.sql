-- Raw tables of Quality Compass. A row is a line of a run's file, kept as it stands; `row_key` is
-- its identity within a run, so that a line repeated in two files can be told.

-- Loads take turns by a lock of this empty table, which roles that only read cannot take, as they could
-- an advisory one: two loads of one run at a time would each see half of the other's files.
create table if not exists public.load_turns ();

create table if not exists public.raw_runs (
    run_id varchar(255) primary key,
    url text not null,
    -- Over the paths and content hashes of the run's files: equal content, equal fingerprint, in
    -- whatever order and however often it was loaded. Incremental models rebuild by it.
    fingerprint text not null,
    files integer not null,
    first_loaded_at timestamptz not null,
    changed_at timestamptz not null,
    loaded_at timestamptz not null
);

-- The instant the run was started: its manifest's, otherwise its id read in the zone of ids.
alter table public.raw_runs add column if not exists started_at timestamptz;
-- Of what the run writes without an offset. NULL: it was not loaded since this is kept.
alter table public.raw_runs add column if not exists time_zone text;

create table if not exists public.raw_files (
    run_id varchar(255) not null references public.raw_runs (run_id) deferrable initially deferred,
    file_path text not null,
    kind text not null,
    content_hash text not null,
    bytes bigint not null,
    rows integer not null,
    quarantined integer not null,
    changed_at timestamptz not null,
    loaded_at timestamptz not null,
    primary key (run_id, file_path)
);

create table if not exists public.raw_node_results (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    row_key text not null,
    json_data text not null,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_node_results_run_id on public.raw_node_results (run_id, file_path);

create table if not exists public.raw_entity_results (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    row_key text not null,
    canonical_node_id varchar(512) not null,
    json_data text not null,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_entity_results_run_id
on public.raw_entity_results (run_id, file_path);
create index if not exists raw_entity_results_canonical_node_id
on public.raw_entity_results (canonical_node_id);

create table if not exists public.raw_contributions (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    row_key text not null,
    json_data text not null,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_contributions_run_id on public.raw_contributions (run_id, file_path);

create table if not exists public.raw_classifications (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    row_key text not null,
    json_data text not null,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_classifications_run_id
on public.raw_classifications (run_id, file_path);

create table if not exists public.raw_modeling_runs (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    row_key text not null,
    config_path text,
    status text,
    groups jsonb,
    run_dir text,
    duration_seconds double precision,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_modeling_runs_run_id on public.raw_modeling_runs (run_id, file_path);

create table if not exists public.raw_modeling_experiments (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    row_key text not null,
    json_data text not null,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_modeling_experiments_run_id
on public.raw_modeling_experiments (run_id, file_path);

-- Files in a run's folder that are of no kind known here.
create table if not exists public.raw_unread_files (
    run_id varchar(255) not null,
    file_path text not null,
    seen_at timestamptz not null default now()
);
create index if not exists raw_unread_files_run_id on public.raw_unread_files (run_id);

-- Lines that are no rows, and why.
create table if not exists public.raw_quarantine (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    reason text not null,
    line_text text not null,
    loaded_at timestamptz not null default now()
);
create index if not exists raw_quarantine_run_id on public.raw_quarantine (run_id, file_path);

-- What `verify` found: figures a run claims and the recomputation does not give.
create table if not exists public.raw_disagreements (
    id bigserial primary key,
    run_id varchar(255) not null,
    file_path text not null,
    line_number integer not null,
    subject text not null,
    field text not null,
    claimed text not null,
    recomputed text not null,
    found_at timestamptz not null default now()
);
create index if not exists raw_disagreements_run_id on public.raw_disagreements (run_id);

-- Takes a run out of all raw tables; the next build takes it out of the marts. Returns its files.
-- A load of it is waited for, as in raw/loading.py.
create or replace function public.remove_run(removed varchar)
returns bigint
language plpgsql
as $$
declare
    files_removed bigint;
begin
    lock table public.load_turns in exclusive mode;
    delete from public.raw_node_results where run_id = removed;
    delete from public.raw_entity_results where run_id = removed;
    delete from public.raw_contributions where run_id = removed;
    delete from public.raw_classifications where run_id = removed;
    delete from public.raw_modeling_runs where run_id = removed;
    delete from public.raw_modeling_experiments where run_id = removed;
    delete from public.raw_unread_files where run_id = removed;
    delete from public.raw_quarantine where run_id = removed;
    delete from public.raw_disagreements where run_id = removed;
    delete from public.raw_files where run_id = removed;
    get diagnostics files_removed = row_count;
    delete from public.raw_runs where run_id = removed;
    if not found then
        raise exception 'There is no run %: see public.raw_runs', removed;
    end if;
    return files_removed;
end
$$;
