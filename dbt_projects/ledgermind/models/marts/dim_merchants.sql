with transactions as (

    select * from {{ ref('stg_transactions') }}
    where
        not is_deleted
        and merchant is not null
        and current_category is not null

),

counted as (

    select
        merchant,
        current_category as category,
        count(*) as transactions
    from transactions
    group by merchant, current_category

),

totals as (

    select
        *,
        sum(transactions) over (partition by merchant) as merchant_transactions,
        count(*) over (partition by merchant) as merchant_categories
    from counted

),

final as (

    select
        {{ shared.text('merchant') }} as merchant,
        {{ shared.text('category') }} as category,
        {{ whole('transactions') }} as transactions,
        {{ whole('merchant_transactions') }} as merchant_transactions,
        {{ whole('merchant_categories') }} as merchant_categories,
        floor({{ real('transactions') }} * 10000 / merchant_transactions + 0.5) / 10000
            as category_prior,
        {{ shared.text("case
            when merchant_categories = 1 or transactions >= 10 then 'high'
            when transactions >= 3 then 'medium'
            else 'low'
        end") }} as confidence
    from totals

)

select * from final
