with

products as (

    select * from {{ ref('silver_products') }}

),

months as (

    select * from {{ ref('int_monthly_spend') }}
    where
        transaction_count > 0
        and currency = '{{ var("base_currency") }}'

),

buyers as (

    select
        months.category,
        count(distinct employee.employee_id) as unique_buyers
    from months
    left join lateral jsonb_array_elements_text(months.employee_ids) as employee (employee_id)
        on true
    group by months.category

),

-- Transactions name no sku. What is known of a product's sales is known of its category, and is
-- summed before products are joined, so that no amount is counted once per product.
sales as (

    select
        category,
        cast(sum(transaction_count) as bigint) as transaction_count,
        sum(total_amount) as total_revenue
    from months
    group by category

),

categories as (

    select
        sales.category,
        sales.transaction_count,
        sales.total_revenue,
        buyers.unique_buyers
    from sales
    inner join buyers on sales.category = buyers.category

),

scored as (

    select
        *,
        cast(transaction_count as numeric) / max(transaction_count) over () as popularity_score,
        total_revenue / max(total_revenue) over () as revenue_score,
        cast(unique_buyers as numeric) / transaction_count as buyer_score
    from categories

),

final as (

    select
        products.id as product_id,
        products.sku,
        products.name,
        products.category,
        coalesce(similar_products.skus, cast('{}' as text[])) as top_5_similar_products,
        array[
            round(scored.popularity_score, 6),
            round(scored.revenue_score, 6),
            round(scored.buyer_score, 6)
        ] as recommendation_scores,
        round(scored.popularity_score, 6) as popularity_score,
        round(scored.revenue_score, 6) as revenue_score,
        scored.transaction_count,
        scored.unique_buyers,
        scored.total_revenue,
        {{ build_moment() }} as calculated_at
    from products
    inner join scored on products.category = scored.category
    -- The five nearest are among the next on either side: few are read, however many are alike.
    left join lateral ( -- noqa: ST05
        select array_agg(nearest.sku order by nearest.distance, nearest.sku) as skus
        from (
            select
                candidate.sku,
                candidate.distance
            from (
                (
                    select
                        dearer.sku,
                        dearer.price - products.price as distance
                    from {{ ref('silver_products') }} as dearer
                    where
                        dearer.category = products.category
                        and dearer.is_active
                        and dearer.price between products.price and products.price * 1.2
                    order by dearer.price asc, dearer.sku asc
                    limit 6
                )
                union all
                (
                    select
                        cheaper.sku,
                        products.price - cheaper.price as distance
                    from {{ ref('silver_products') }} as cheaper
                    where
                        cheaper.category = products.category
                        and cheaper.is_active
                        and cheaper.price >= products.price * 0.8
                        and cheaper.price < products.price
                    order by cheaper.price desc, cheaper.sku asc
                    limit 5
                )
            ) as candidate
            where candidate.sku <> products.sku
            order by candidate.distance asc, candidate.sku asc
            limit 5
        ) as nearest
    ) as similar_products on true

)

select * from final
