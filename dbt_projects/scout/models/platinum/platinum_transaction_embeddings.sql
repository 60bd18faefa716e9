-- As gold, not built while a gate fails that looks at what was rejected.
-- depends_on: {{ ref('silver_rejected_transactions') }}
with

transactions as (

    select * from {{ ref('silver_validated_transactions') }}
    where
        transaction_date <= {{ as_of_date() }}
        and transaction_date > {{ as_of_date() }} - {{ var("embedding_window_days") }}

),

embeddings as (

    select * from {{ source('platinum', 'transaction_embedding_vectors') }}

),

texts as (

    select
        *,
        left(
            'On ' || to_char(transaction_date, 'YYYY-MM-DD')
            || ' paid ' || vendor_name
            || ' for ' || category || coalesce(' (' || subcategory || ')', '')
            || ': ' || currency || ' ' || amount
            || coalesce('. ' || description, ''), {{ var("embedding_characters") }}
        ) as text
    from transactions

),

final as (

    select
        texts.id,
        texts.transaction_id,
        texts.text,
        case when embeddings.text_hash = md5(texts.text) then embeddings.embedding end as embedding,
        jsonb_build_object(
            'date', texts.transaction_date,
            'amount', texts.amount,
            'currency', texts.currency,
            'category', texts.category,
            'subcategory', texts.subcategory,
            'vendor_name', texts.vendor_name,
            'vendor_id', texts.vendor_id,
            'tax_code', texts.tax_code,
            'employee_id', texts.employee_id,
            'cost_center', texts.cost_center
        ) as metadata,
        texts.transaction_date,
        texts.amount,
        texts.currency,
        texts.category,
        texts.vendor_name,
        embeddings.model as embedding_model,
        embeddings.embedded_at as generated_at
    from texts
    left join embeddings on texts.id = embeddings.id

)

select * from final
