with monthly as (

    select * from {{ ref('gold_monthly_summary') }}

),

final as (

    select
        month,
        category,
        currency,
        transaction_count,
        total_amount,
        prev_month_amount,
        mom_growth_pct,
        prev_year_amount,
        yoy_growth_pct,
        is_complete_month,
        (
            select max(transactions.transaction_date)
            from {{ ref('silver_validated_transactions') }} as transactions
            where transactions.transaction_date <= {{ as_of_date() }}
        ) as newest_transaction_date
    from monthly
    where month > {{ month_of(as_of_date()) }} - interval '13 months'

)

select * from final
