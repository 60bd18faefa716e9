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
    unique (entity, content_sha256),
    check (rows_read = rows_loaded + rows_quarantined)
);

create table if not exists scout.raw_transaction_ingestion (
    id bigint generated always as identity primary key,
    raw_data jsonb not null,
    source text not null,
    source_filename text,
    ingested_at timestamptz not null default now(),
    ingestion_batch_id text,
    content_hash text,
    file_id bigint references scout.raw_files (id),
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
    file_id bigint references scout.raw_files (id),
    line_number bigint
);

-- `raw_data` cannot hold these rows: they are no JSON, or do not fit the header of their file.
create table if not exists scout.raw_ingestion_quarantine (
    id bigint generated always as identity primary key,
    file_id bigint not null references scout.raw_files (id),
    line_number bigint not null,
    reason text not null,
    detail text not null,
    raw_text text not null
);
create index if not exists raw_ingestion_quarantine_file_id
on scout.raw_ingestion_quarantine (file_id);

-- Whoever inserts waits for the inserts before it to commit. Ids are therefore committed in their
-- order, and the models may take the greatest id they have seen as an exact watermark.
create or replace function scout.insert_in_order() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(7310021, cast(cast(tg_relid as bigint) % 2147483647 as integer));
    return null;
end
$$;

create or replace trigger insert_in_order before insert on scout.raw_transaction_ingestion
for each statement execute function scout.insert_in_order();
create or replace trigger insert_in_order before insert on scout.raw_product_ingestion
for each statement execute function scout.insert_in_order();

create extension if not exists vector;
create schema if not exists platinum;

-- A column of one dimension, which the HNSW index needs; another dimension makes the table anew.
create table if not exists platinum.transaction_embedding_vectors (
    id uuid primary key,
    text_hash text not null,
    model text not null,
    embedding vector not null,
    embedded_at timestamptz not null
);
