create schema if not exists scout;

create table if not exists scout.raw_files (
    id bigint generated always as identity primary key,
    entity text not null check (entity in ('transaction', 'product')),
    source text not null,
    source_filename text not null,
    content_sha256 text not null,
    encoding text,
    bytes_read bigint not null,
    rows_read bigint not null default 0,
    rows_loaded bigint not null default 0,
    rows_quarantined bigint not null default 0,
    ingestion_batch_id text not null,
    ingested_at timestamptz not null,
    place text,
    is_copy boolean not null default false,
    check (rows_read = rows_loaded + rows_quarantined)
);
-- A file may return to what it held before: its content is loaded anew then. `place` is a hash of
-- the file's address; a copy is a file whose content was loaded from another place.
alter table scout.raw_files add column if not exists place text;
alter table scout.raw_files add column if not exists is_copy boolean not null default false;
alter table scout.raw_files drop constraint if exists raw_files_entity_content_sha256_key;
create index if not exists raw_files_entity_content_sha256
on scout.raw_files (entity, content_sha256);
create index if not exists raw_files_entity_source_filename
on scout.raw_files (entity, source_filename);

create table if not exists scout.raw_transaction_ingestion (
    id bigint generated always as identity primary key,
    raw_data jsonb not null,
    source text not null,
    source_filename text,
    ingested_at timestamptz not null default now(),
    ingestion_batch_id text,
    content_hash text,
    file_id bigint,
    line_number bigint
);

create table if not exists scout.raw_product_ingestion (
    id bigint generated always as identity primary key,
    raw_data jsonb not null,
    source text not null,
    source_filename text,
    ingested_at timestamptz not null default now(),
    ingestion_batch_id text,
    content_hash text,
    file_id bigint,
    line_number bigint
);

-- One trigger event for each row would cost half as much again as the load itself: a file and its
-- payloads are written in one transaction instead.
alter table scout.raw_transaction_ingestion
drop constraint if exists raw_transaction_ingestion_file_id_fkey;
alter table scout.raw_product_ingestion
drop constraint if exists raw_product_ingestion_file_id_fkey;

-- `raw_data` cannot hold these rows: they are no JSON, or do not fit the header of their file. They
-- came in a file or in a delivery.
create table if not exists scout.raw_ingestion_quarantine (
    id bigint generated always as identity primary key,
    file_id bigint references scout.raw_files (id),
    line_number bigint not null,
    reason text not null,
    detail text not null,
    raw_text text not null,
    delivery_id text
);
alter table scout.raw_ingestion_quarantine add column if not exists delivery_id text;
alter table scout.raw_ingestion_quarantine alter column file_id drop not null;
create index if not exists raw_ingestion_quarantine_file_id
on scout.raw_ingestion_quarantine (file_id);
create index if not exists raw_ingestion_quarantine_delivery_id
on scout.raw_ingestion_quarantine (delivery_id) where delivery_id is not null;

-- One row: up to where the webhook inbox was loaded, and what all loads up to there came to.
create table if not exists scout.inbox_progress (
    is_only_row boolean primary key default true check (is_only_row),
    position jsonb,
    deliveries bigint not null default 0,
    rows_loaded bigint not null default 0,
    rows_quarantined bigint not null default 0,
    updated_at timestamptz
);
insert into scout.inbox_progress default values on conflict do nothing;

create table if not exists scout.drive_folders (
    folder_id text primary key,
    page_token text not null,
    updated_at timestamptz not null
);

-- Whoever inserts waits for the inserts before it to commit. Ids are therefore committed in their
-- order, and the models may take the greatest id they have seen as an exact watermark. Their turn is a
-- lock of this empty table, which roles that only read cannot take, as they could an advisory one.
create table if not exists scout.turns ();

-- Builds take turns by a lock of this one, for the same reason.
create table if not exists scout.builds ();

create or replace function scout.insert_in_order() returns trigger language plpgsql as $$
begin
    lock table scout.turns in exclusive mode;
    return null;
end
$$;

create or replace trigger insert_in_order before insert on scout.raw_transaction_ingestion
for each statement execute function scout.insert_in_order();
create or replace trigger insert_in_order before insert on scout.raw_product_ingestion
for each statement execute function scout.insert_in_order();

create extension if not exists vector;
create schema if not exists platinum;

-- The column has no dimension, so that another model needs no other table: a view reads it. The
-- HNSW index and the search functions, made by flows/scout/vectors.sql, cast to one dimension.
create table if not exists platinum.transaction_embedding_vectors (
    id uuid primary key,
    text_hash text not null,
    model text not null,
    embedding vector not null,
    embedded_at timestamptz not null,
    answered_model text
);
-- Who answered, where the endpoint says it: a name in the block may come to mean another model. An
-- `alter table` would wait for builds that read the vectors, even where there is nothing to add.
do $$
begin
    if not exists (
        select from pg_attribute
        where
            attrelid = cast('platinum.transaction_embedding_vectors' as regclass)
            and attname = 'answered_model'
    ) then
        alter table platinum.transaction_embedding_vectors add column answered_model text;
    end if;
end
$$;

-- Texts for which the endpoint gives no vector. They are sent again when they change, and at times.
create table if not exists scout.embedding_refusals (
    id uuid primary key,
    text_hash text not null,
    model text not null,
    reason text not null,
    refused_at timestamptz not null
);

create table if not exists scout.data_quality_scores (
    id bigint generated always as identity primary key,
    table_name text not null,
    measured_at timestamptz not null,
    row_count bigint not null,
    completeness double precision not null,
    uniqueness double precision not null,
    timeliness double precision not null,
    score double precision not null
);
create index if not exists data_quality_scores_table_name_measured_at
on scout.data_quality_scores (table_name, measured_at);
