-- The role that builds the layers where row-level security is on, as on Supabase. Run once, by the
-- owner of the raw tables, after flows/scout/schema.sql and after
--     create role scout_dbt login password '...';
-- Of the raw tables it may read the payloads, and no more. The layers are its own.

create schema if not exists bronze;
create schema if not exists silver;
create schema if not exists gold;
create schema if not exists test_failures;

grant usage on schema scout to scout_dbt;
grant select on
scout.raw_transaction_ingestion,
scout.raw_product_ingestion
to scout_dbt;

-- Without a policy nobody but the owner sees a row: not even roles that were granted the table.
alter table scout.raw_transaction_ingestion enable row level security;
alter table scout.raw_product_ingestion enable row level security;
alter table scout.raw_files enable row level security;
alter table scout.raw_ingestion_quarantine enable row level security;
alter table scout.drive_folders enable row level security;
alter table scout.inbox_progress enable row level security;
alter table scout.data_quality_scores enable row level security;
alter table scout.embedding_refusals enable row level security;
alter table platinum.transaction_embedding_vectors enable row level security;

create policy scout_dbt_reads on scout.raw_transaction_ingestion
for select to scout_dbt using (true);
create policy scout_dbt_reads on scout.raw_product_ingestion
for select to scout_dbt using (true);
create policy scout_dbt_reads on platinum.transaction_embedding_vectors
for select to scout_dbt using (true);

grant usage, create on schema bronze, silver, gold, platinum, test_failures to scout_dbt;
grant select on platinum.transaction_embedding_vectors to scout_dbt;

-- The owner scores the layers and searches them.
grant scout_dbt to current_user;
