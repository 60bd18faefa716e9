with weekly as (

    select * from {{ ref('gold_category_trends') }}

),

final as (

    select
        week,
        category,
        currency,
        transaction_count,
        total_amount,
        ma_4week,
        baseline_weeks,
        expected_amount,
        expected_low as band_low,
        expected_high as band_high,
        is_complete_week,
        is_anomaly,
        silent_weeks,
        is_silent,
        {{ week_of(first_unfinished_day()) }} as first_unfinished_week
    from weekly
    where week > {{ week_of(as_of_date()) }} - 26 * 7 or is_silent

)

select * from final
