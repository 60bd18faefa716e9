{{
    config(
        indexes=[
            {'columns': ['week', 'category', 'currency'], 'unique': true},
            {'columns': ['category']},
        ],
    )
}}

with

weekly as (

    select * from {{ ref('int_weekly_spend') }}
    where transaction_count > 0

),

-- Ranges of dates and not of rows: a week without transactions has no row.
measured as (

    select
        *,
        sum(total_amount) over previous_week as prev_week_amount,
        sum(total_amount) over last_4_weeks as amount_of_4_weeks,
        (week - min(week) over series) / 7 + 1 as weeks_since_first,
        count(*) over weeks_before as baseline_weeks,
        avg(total_amount) over weeks_before as baseline_mean,
        stddev_samp(total_amount) over weeks_before as baseline_stddev
    from weekly
    window
        series as (partition by category, currency),
        previous_week as (
            partition by category, currency order by week
            range between interval '7 days' preceding and interval '7 days' preceding
        ),
        last_4_weeks as (
            partition by category, currency order by week
            range between interval '21 days' preceding and current row
        ),
        weeks_before as (
            partition by category, currency order by week
            range between interval '364 days' preceding and interval '7 days' preceding
        )

),

final as (

    select
        week,
        category,
        currency,
        transaction_count,
        cast(total_amount as numeric(20, 2)) as total_amount,
        cast(avg_amount as numeric(20, 4)) as avg_amount,
        cast(stddev_amount as numeric(20, 4)) as stddev_amount,
        unique_vendors,
        cast(prev_week_amount as numeric(20, 2)) as prev_week_amount,
        {{ growth_pct("total_amount", "prev_week_amount") }} as wow_pct_change,
        cast(amount_of_4_weeks / least(4, weeks_since_first) as numeric(20, 4)) as ma_4week,
        baseline_weeks,
        cast(baseline_mean as numeric(20, 4)) as baseline_mean,
        cast(baseline_stddev as numeric(20, 4)) as baseline_stddev,
        week + 7 <= {{ as_of_date() }} + 1 as is_complete_week,
        (
            week + 7 <= {{ as_of_date() }} + 1
            and baseline_weeks >= {{ var("anomaly_minimum_weeks") }}
            and abs(total_amount - baseline_mean)
            > {{ var("anomaly_standard_deviations") }} * baseline_stddev
        ) as is_anomaly,
        {{ build_moment() }} as calculated_at
    from measured
    where
        week
        > {{ week_of(as_of_date()) }}
        - interval '{{ var("weekly_window_weeks") }} weeks'

)

select * from final
