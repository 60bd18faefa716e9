-- Made for one dimension by flows/scout/raw/vectors.py, which puts it in place of {dimension}.
create index if not exists transaction_embedding_vectors_hnsw_{dimension}
on platinum.transaction_embedding_vectors
using hnsw ((embedding::vector({dimension})) vector_cosine_ops);

create or replace function platinum.nearest_transactions(
    query vector, neighbours integer default 10
) returns table (
    id uuid, transaction_id text, transaction_date date, vendor_name text, category text,
    currency text, amount numeric, description text, cosine_distance double precision
) language sql stable as $$
    with nearest as materialized (
        select v.id, v.embedding::vector({dimension}) <=> query::vector({dimension}) as distance
        from platinum.transaction_embedding_vectors as v
        order by v.embedding::vector({dimension}) <=> query::vector({dimension})
        limit neighbours
    )
    select s.id, s.transaction_id, s.transaction_date, s.vendor_name, s.category, s.currency,
        s.amount, s.description, nearest.distance
    from nearest
    inner join silver.silver_validated_transactions as s on s.id = nearest.id
    order by nearest.distance, s.id
$$;

create or replace function platinum.similar_transactions(
    of_transaction_id text, neighbours integer default 10
) returns table (
    id uuid, transaction_id text, transaction_date date, vendor_name text, category text,
    currency text, amount numeric, description text, cosine_distance double precision
) language sql stable as $$
    select found.*
    from platinum.transaction_embedding_vectors as v
    cross join lateral platinum.nearest_transactions(v.embedding, neighbours + 1) as found
    where v.id = cast(md5(of_transaction_id) as uuid) and found.id <> v.id
    order by found.cosine_distance, found.id
    limit neighbours
$$;
