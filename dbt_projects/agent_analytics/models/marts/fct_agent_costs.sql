{{
    config(
        materialized='incremental',
        unique_key='date',
    )
}}

with daily as (

    select
        usage_date,
        developer_id,
        agent_type,
        sum(total_tokens) as daily_tokens,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(total_cost_usd) as daily_cost_usd,
        sum(may_cost_more_usd) as may_cost_more_usd,
        sum(reported_cost_usd) as reported_cost_usd
    from {{ ref('int_agent_daily_aggregates') }}
    where total_tokens + total_cache_read_tokens > 0 or reported_cost_usd is not null
    group by usage_date, developer_id, agent_type

),

first_days as (

    select
        developer_id,
        agent_type,
        min(usage_date) as first_day
    from daily
    group by developer_id, agent_type

),

days as (

    select date_day
    from {{ shared.date_spine(
        '(select min(usage_date) from daily)',
        as_of_date('(select max(usage_date) from daily)')
    ) }} as spine

),

day_hashes as (

    select
        usage_date,
        any_value(input_hash) as input_hash
    from {{ ref('int_agent_daily_aggregates') }}
    group by usage_date

),

-- Sums run on: a day is made from all days up to it.
inputs as (

    select
        days.date_day as date,
        bit_xor(hash(hash(days.date_day, day_hashes.input_hash))) over (order by days.date_day)
            as input_hash
    from days
    left join day_hashes on days.date_day = day_hashes.usage_date

),

touched as (

    {{ touched('date') }}

),

-- No window but the cumulative one reaches back further than 31 days.
reach as (

    select min(date) - 31 as first_day
    from touched

),

costs_before as (

    select
        daily.developer_id,
        daily.agent_type,
        coalesce(
            sum(daily.daily_cost_usd),
            case when count(*) < any_value(reach.first_day) - min(daily.usage_date) then 0 end
        ) as cost_usd
    from daily
    inner join reach on daily.usage_date < reach.first_day
    group by daily.developer_id, daily.agent_type

),

-- Every day since the first, so that a window of seven rows is a window of seven days. A day
-- without usage costs 0; a day whose usage has no price costs nobody knows what.
every_day as (

    select
        days.date_day as date,
        first_days.developer_id,
        first_days.agent_type,
        coalesce(daily.daily_tokens, 0) as daily_tokens,
        coalesce(daily.unpriced_tokens, 0) as unpriced_tokens,
        coalesce(daily.may_cost_more_usd, 0) as may_cost_more_usd,
        case when daily.usage_date is null then 0 else daily.daily_cost_usd end as daily_cost_usd,
        case when daily.usage_date is null then 0 else daily.reported_cost_usd end
            as reported_cost_usd
    from first_days
    inner join days on first_days.first_day <= days.date_day
    inner join reach on days.date_day >= reach.first_day
    left join daily
        on
            first_days.developer_id = daily.developer_id
            and first_days.agent_type = daily.agent_type
            and days.date_day = daily.usage_date

),

windows as (

    select
        date,
        developer_id,
        agent_type,
        cast(daily_tokens as bigint) as daily_tokens,
        cast(unpriced_tokens as bigint) as unpriced_tokens,
        daily_cost_usd,
        may_cost_more_usd,
        reported_cost_usd,
        reported_cost_usd - daily_cost_usd as cost_variance_usd,
        sum(daily_cost_usd) over (
            partition by developer_id, agent_type order by date
        ) as cost_since_usd,
        sum(daily_cost_usd) over (
            partition by developer_id, agent_type, date_trunc('week', date) order by date
        ) as wtd_cost_usd,
        sum(daily_cost_usd) over (
            partition by developer_id, agent_type, date_trunc('month', date) order by date
        ) as mtd_cost_usd,
        avg(daily_cost_usd) over (
            partition by developer_id, agent_type order by date
            rows between 6 preceding and current row
        ) as avg_7day_cost_usd,
        avg(daily_cost_usd) over (
            partition by developer_id, agent_type order by date
            rows between 29 preceding and current row
        ) as avg_30day_cost_usd
    from every_day

),

final as (

    select
        windows.* exclude (cost_since_usd),  -- noqa: RF02
        case
            when costs_before.cost_usd is null then windows.cost_since_usd
            else costs_before.cost_usd + coalesce(windows.cost_since_usd, 0)
        end as cumulative_cost_usd,
        touched.input_hash
    from windows
    inner join touched on windows.date = touched.date
    left join costs_before
        on
            windows.developer_id = costs_before.developer_id
            and windows.agent_type = costs_before.agent_type

)

select * from final
{{ and_replaced('date') }}
