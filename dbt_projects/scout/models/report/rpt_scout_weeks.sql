{%- set deviations = var('anomaly_standard_deviations') -%}

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
        baseline_mean,
        case
            when baseline_weeks >= {{ var('anomaly_minimum_weeks') }}
                then cast(baseline_mean - {{ deviations }} * baseline_stddev as numeric(20, 4))
        end as band_low,
        case
            when baseline_weeks >= {{ var('anomaly_minimum_weeks') }}
                then cast(baseline_mean + {{ deviations }} * baseline_stddev as numeric(20, 4))
        end as band_high,
        is_complete_week,
        is_anomaly
    from weekly
    where week > {{ week_of(as_of_date()) }} - 26 * 7

)

select * from final
