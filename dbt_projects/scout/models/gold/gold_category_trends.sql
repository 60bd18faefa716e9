{{
    config(
        indexes=[
            {'columns': ['week', 'category', 'currency'], 'unique': true},
            {'columns': ['category']},
        ],
        pre_hook="{{ shared.plan_for_departures() }}",
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

-- A week in which nobody bought anything says nothing of a category, nor one in which fewer than
-- half of the other categories were bought that a week of the year before had: neither is numbered.
usual as (

    select
        week,
        count(*) >= coalesce((avg(count(*)) over year_before - 1) / 2.0, 0) as is_usual
    from weekly
    group by week
    window year_before as (
        order by week range between interval '364 days' preceding and interval '7 days' preceding
    )

),

numbered_weeks as (

    select
        week,
        is_usual,
        count(case when is_usual then 1 end) over (order by week) as week_number
    from usual

),

numbered as (

    select
        weekly.week,
        weekly.category,
        weekly.currency,
        numbered_weeks.is_usual,
        numbered_weeks.week_number,
        weekly.week + 7 <= {{ first_unfinished_day() }} as is_over
    from weekly
    inner join numbered_weeks on weekly.week = numbered_weeks.week

),

spaced as (

    select
        *,
        lead(week) over series is null as is_newest,
        max(case when is_over then week_number end) over () - week_number as weeks_since,
        week_number - lag(week_number) over series - 1 as weeks_without
    from numbered
    window series as (partition by category, currency order by week)

),

rested as (

    select
        week,
        category,
        currency,
        case when is_newest then greatest(weeks_since, 0) end as silent_weeks,
        coalesce(max(weeks_without) over year_before, 0) as most_weeks_without,
        count(case when is_usual then 1 end) over year_before as weeks_with_in_year,
        week_number - min(week_number) over year_before + 1 as weeks_in_year,
        count(case when is_usual then 1 end) over half_before as weeks_with_in_half,
        week_number - min(week_number) over half_before + 1 as weeks_in_half
    from spaced
    window
        year_before as (
            partition by category, currency order by week_number
            range between 51 preceding and current row
        ),
        half_before as (
            partition by category, currency order by week_number
            range between 25 preceding and current row
        )

),

-- By the share of weeks that it rested in before, as if one more had been of either kind: of the
-- half year before where that is more, as of a category that is bought ever less.
silences as (

    select
        week,
        category,
        currency,
        silent_weeks,
        (
            weeks_with_in_year >= {{ var("anomaly_minimum_weeks") }}
            and silent_weeks > most_weeks_without
            and power(
                greatest(
                    (weeks_in_year - weeks_with_in_year + 1)
                    / cast(weeks_in_year + 2 as double precision),
                    (weeks_in_half - weeks_with_in_half + 1)
                    / cast(weeks_in_half + 2 as double precision)
                ),
                silent_weeks
            ) < 0.0015
        ) as is_silent
    from rested
    where silent_weeks is not null

),

all_series as (

    select
        category,
        currency,
        category || '|' || currency as series,
        min(week) as first_week,
        max(week) as last_week
    from weekly
    group by category, currency

),

weeks as (

    select spine.date_day as week
    from
        {{ shared.date_spine('(select min(week) from weekly)', '(select max(week) from weekly)') }}
            as spine
    where
        extract(isodow from spine.date_day) = 1
        and spine.date_day
        > {{ week_of(as_of_date()) }}
        - interval '{{ var("weekly_window_weeks") | int + 53 }} weeks'

),

-- Amounts vary by factors, not by sums. A week without transactions says nothing of their size.
observed as (

    select
        all_series.series,
        cast(
            {{ shared.days_between("cast('2024-01-01' as date)", 'weeks.week') }} / 7 as bigint
        ) as period,
        weeks.week,
        all_series.category,
        all_series.currency,
        coalesce(ln(cast(weekly.total_amount as double precision)), 0) as value,
        cast(case when weekly.total_amount > 0 then 1 else 0 end as double precision) as weight
    from all_series
    inner join weeks on weeks.week between all_series.first_week and all_series.last_week
    left join weekly
        on
            all_series.category = weekly.category
            and all_series.currency = weekly.currency
            and weeks.week = weekly.week

),

departures as (

    select *
    from
        {{ shared.departures(
            'observed',
            baseline=52,
            minimum=var('anomaly_minimum_weeks'),
            season=1,
            lag=13,
            windows=[1],
            sigmas=var('anomaly_standard_deviations'),
            lasting=52,
            floor='0.0025',
        ) }} as found

),

compared as (

    select
        measured.*,
        silences.silent_weeks,
        silences.is_silent,
        departures.expected,
        departures.score,
        departures.bound,
        departures.margin
    from measured
    left join observed
        on
            measured.week = observed.week
            and measured.category = observed.category
            and measured.currency = observed.currency
    left join departures
        on
            observed.series = departures.series
            and observed.period = departures.period
    left join silences
        on
            measured.week = silences.week
            and measured.category = silences.category
            and measured.currency = silences.currency

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
        week + 7 <= {{ first_unfinished_day() }} as is_complete_week,
        (
            week + 7 <= {{ first_unfinished_day() }}
            and baseline_weeks >= {{ var("anomaly_minimum_weeks") }}
            and coalesce(abs(score) > bound, false)
        ) as is_anomaly,
        {{ build_moment() }} as calculated_at,
        case
            when expected < 40 then cast(exp(expected) as numeric(20, 2))
        end as expected_amount,
        cast(score as double precision) as deviations,
        case
            when expected < 40 then cast(exp(expected - margin) as numeric(20, 2))
        end as expected_low,
        case
            when expected + margin < 40 then cast(exp(expected + margin) as numeric(20, 2))
        end as expected_high,
        silent_weeks,
        coalesce(is_silent, false) as is_silent
    from compared
    where
        week
        > {{ week_of(as_of_date()) }}
        - interval '{{ var("weekly_window_weeks") }} weeks'

)

select * from final
