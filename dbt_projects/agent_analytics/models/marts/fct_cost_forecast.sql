with costs as (

    select * from {{ ref('fct_agent_costs') }}

),

as_of as (

    select
        max(date) as as_of_date,
        cast(date_trunc('month', max(date)) as date) as month_start,
        last_day(max(date)) as month_end,
        least(max(date) + 1, {{ shared.build_day() }}) as first_unfinished_day
    from costs

),

-- A day of which all usage has no price is not known, whatever an agent that was not used cost.
scoped_costs as (

    select
        'all' as developer_id,
        date,
        case
            when count(daily_cost_usd) = count(*) or sum(daily_cost_usd) > 0
                then sum(daily_cost_usd)
        end as daily_cost_usd,
        sum(may_cost_more_usd) as may_cost_more_usd,
        sum(unpriced_tokens) as unpriced_tokens
    from costs
    group by date

    union all

    select
        developer_id,
        date,
        case
            when count(daily_cost_usd) = count(*) or sum(daily_cost_usd) > 0
                then sum(daily_cost_usd)
        end as daily_cost_usd,
        sum(may_cost_more_usd) as may_cost_more_usd,
        sum(unpriced_tokens) as unpriced_tokens
    from costs
    group by developer_id, date

),

placed as (

    select
        scoped_costs.*,
        as_of.*,
        scoped_costs.date >= as_of.month_start as is_of_month,
        scoped_costs.date >= greatest(as_of.first_unfinished_day, as_of.month_start)
            as is_filling,
        scoped_costs.date between as_of.first_unfinished_day - {{ var('forecast_days') }}
        and as_of.first_unfinished_day - 1 as is_measured
    from scoped_costs
    cross join as_of

),

measured as (

    select
        developer_id,
        as_of_date,
        month_start,
        date_diff('day', as_of_date, month_end) as days_left,
        date_diff('day', greatest(first_unfinished_day, month_start), as_of_date) + 1
            as days_filling,
        count(daily_cost_usd) filter (where is_measured) as days_measured,
        count(*) filter (where daily_cost_usd is null and (is_of_month or is_measured))
            as days_not_known,
        coalesce(sum(daily_cost_usd) filter (where is_of_month), 0) as month_to_date_cost_usd,
        coalesce(sum(daily_cost_usd) filter (where is_filling), 0) as filling_cost_usd,
        avg(daily_cost_usd) filter (where is_measured) as daily_mean_usd,
        stddev_samp(daily_cost_usd) filter (where is_measured) as daily_spread_usd,
        coalesce(sum(may_cost_more_usd) filter (where is_of_month), 0) as month_more_usd,
        coalesce(
            avg(may_cost_more_usd) filter (where is_measured and daily_cost_usd is not null), 0
        ) as daily_more_usd,
        -- What has no price is missing from the month and from the mean of the days to come.
        cast(
            coalesce(sum(unpriced_tokens) filter (where is_of_month or is_measured), 0) as bigint
        ) as unpriced_tokens
    from placed
    group by developer_id, as_of_date, month_start, month_end, first_unfinished_day

),

-- The days to come are taken as draws from the days before, each by itself, and so is the day of
-- the build, which may cost more than so far. The spread of their sum has two parts: the days
-- themselves, and the mean that is known from few days only.
forecast as (

    select
        *,
        days_left + days_filling as days_to_come,
        cast(month_more_usd + (days_left + days_filling) * daily_more_usd as double)
            as may_cost_more_usd,
        month_to_date_cost_usd
        + days_left * daily_mean_usd
        + greatest(0, days_filling * daily_mean_usd - filling_cost_usd) as forecast_cost_usd,
        1.2816 * daily_spread_usd
        * sqrt(
            days_left + days_filling
            + power(days_left + days_filling, 2) / nullif(days_measured, 0)
        ) as half_width_usd
    from measured

),

budgets as (

    select
        lower(trim(budgets.developer_id)) as developer_id,
        budgets.monthly_budget_usd
    from {{ ref('budgets') }} as budgets
    cross join as_of
    where budgets.effective_from <= as_of.month_start
    qualify row_number() over (
            partition by lower(trim(budgets.developer_id))
            order by budgets.effective_from desc
        ) = 1

),

final as (

    select
        forecast.developer_id,
        forecast.month_start,
        forecast.as_of_date,
        forecast.days_to_come as days_left,
        forecast.month_to_date_cost_usd,
        forecast.forecast_cost_usd,
        greatest(
            forecast.month_to_date_cost_usd, forecast.forecast_cost_usd - forecast.half_width_usd
        ) as forecast_low_usd,
        forecast.forecast_cost_usd + forecast.half_width_usd as forecast_high_usd,
        forecast.may_cost_more_usd,
        forecast.unpriced_tokens,
        budgets.monthly_budget_usd,
        case
            when budgets.monthly_budget_usd is null then 'no budget'
            when forecast.month_to_date_cost_usd > budgets.monthly_budget_usd then 'over'
            when forecast.forecast_cost_usd > budgets.monthly_budget_usd then 'will be over'
            when
                forecast.unpriced_tokens > 0
                or forecast.days_not_known > 0
                or forecast.forecast_cost_usd is null
                then 'unknown'
            when forecast.half_width_usd is null and forecast.days_to_come > 0 then 'unknown'
            when
                forecast.forecast_cost_usd
                + coalesce(forecast.half_width_usd, 0)
                + forecast.may_cost_more_usd
                > budgets.monthly_budget_usd
                then 'may be over'
            else 'within'
        end as budget_status
    from forecast
    left join budgets on forecast.developer_id = budgets.developer_id

)

select * from final
