-- Made for one dimension by flows/scout/raw/vectors.py, which puts it in place of {dimension}.
create index if not exists transaction_embedding_vectors_hnsw_{dimension}
on platinum.transaction_embedding_vectors
using hnsw ((embedding::vector({dimension})) vector_cosine_ops);

create or replace function platinum.nearest_transactions(
    query vector, neighbours integer default 10
) returns table (
    id uuid, transaction_id text, transaction_date date, vendor_name text, category text,
    currency text, amount numeric, description text, cosine_distance double precision
) language plpgsql stable as $$
#variable_conflict use_column
declare
    given text := coalesce(current_setting('hnsw.ef_search', true), '40');
    given_scan text := current_setting('enable_indexscan');
begin
    -- The index finds no more than this at a time, and never more than 1,000: where more are asked
    -- for, all vectors are looked at.
    perform set_config(
        'hnsw.ef_search', least(1000, greatest(cast(given as integer), 2 * neighbours + 20))::text, true
    );
    if neighbours > 490 then
        perform set_config('enable_indexscan', 'off', true);
    end if;
    return query
    with nearest as materialized (
        select v.id, v.embedding::vector({dimension}) <=> query::vector({dimension}) as distance
        from platinum.transaction_embedding_vectors as v
        order by v.embedding::vector({dimension}) <=> query::vector({dimension})
        limit 2 * neighbours + 20
    )
    select s.id, s.transaction_id, s.transaction_date, s.vendor_name, s.category, s.currency,
        s.amount, s.description, nearest.distance
    from nearest
    inner join silver.silver_validated_transactions as s on s.id = nearest.id
    -- A vector of a text that has changed since is none of this transaction.
    left join platinum.platinum_transaction_embeddings as shown on shown.id = nearest.id
    where shown.id is null or shown.embedding is not null
    order by nearest.distance, s.id
    limit neighbours;
    perform set_config('hnsw.ef_search', given, true);
    perform set_config('enable_indexscan', given_scan, true);
end
$$;

create or replace function platinum.similar_transactions(
    of_transaction_id text, neighbours integer default 10
) returns table (
    id uuid, transaction_id text, transaction_date date, vendor_name text, category text,
    currency text, amount numeric, description text, cosine_distance double precision
) language sql stable as $$
    select found.*
    from platinum.transaction_embedding_vectors as v
    left join platinum.platinum_transaction_embeddings as shown on shown.id = v.id
    cross join lateral platinum.nearest_transactions(v.embedding, neighbours + 1) as found
    where
        v.id = cast(md5(of_transaction_id) as uuid)
        and found.id <> v.id
        and (shown.id is null or shown.embedding is not null)
    order by found.cosine_distance, found.id
    limit neighbours
$$;
