{{
    config(
        indexes=[
            {'columns': ['month', 'category', 'currency'], 'unique': true},
            {'columns': ['category']},
        ],
    )
}}

with

monthly as (

    select * from {{ ref('int_monthly_spend') }}
    where transaction_count > 0

),

-- By the calendar and not by lag: the row before may be of any earlier month.
compared as (

    select
        monthly.*,
        previous_month.total_amount as prev_month_amount,
        previous_year.total_amount as prev_year_amount
    from monthly
    left join monthly as previous_month
        on
            monthly.category = previous_month.category
            and monthly.currency = previous_month.currency
            and monthly.month - interval '1 month' = previous_month.month
    left join monthly as previous_year
        on
            monthly.category = previous_year.category
            and monthly.currency = previous_year.currency
            and monthly.month - interval '1 year' = previous_year.month

),

final as (

    select
        month,
        category,
        currency,
        transaction_count,
        unique_vendors,
        cast(total_amount as numeric(20, 2)) as total_amount,
        cast(avg_amount as numeric(20, 4)) as avg_amount,
        min_amount,
        max_amount,
        cast(median_amount as numeric(20, 4)) as median_amount,
        cast(total_tax as numeric(20, 2)) as total_tax,
        cast(coalesce(jsonb_array_length(employee_ids), 0) as bigint) as unique_employees,
        unique_cost_centers,
        cast(prev_month_amount as numeric(20, 2)) as prev_month_amount,
        {{ growth_pct("total_amount", "prev_month_amount") }} as mom_growth_pct,
        cast(prev_year_amount as numeric(20, 2)) as prev_year_amount,
        {{ growth_pct("total_amount", "prev_year_amount") }} as yoy_growth_pct,
        month + interval '1 month' <= {{ first_unfinished_day() }} as is_complete_month,
        {{ build_moment() }} as calculated_at
    from compared
    where
        month
        > {{ month_of(as_of_date()) }}
        - interval '{{ var("monthly_window_months") }} months'

)

select * from final
