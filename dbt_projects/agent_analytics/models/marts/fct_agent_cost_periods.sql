with daily as (

    select * from {{ ref('int_agent_daily_aggregates') }}

),

periods as (

    select
        'day' as period_type,
        usage_date as period_start,
        *
    from daily

    union all

    select
        'week' as period_type,
        cast(date_trunc('week', usage_date) as date) as period_start,
        *
    from daily

    union all

    select
        'month' as period_type,
        cast(date_trunc('month', usage_date) as date) as period_start,
        *
    from daily

),

final as (

    select
        period_type,
        period_start,
        developer_id,
        agent_type,
        model_name,
        cast(sum(total_tokens) as bigint) as total_tokens,
        cast(sum(unpriced_tokens) as bigint) as unpriced_tokens,
        sum(total_cost_usd) as total_cost_usd,
        sum(reported_cost_usd) as reported_cost_usd,
        sum(reported_cost_usd) - sum(total_cost_usd) as cost_variance_usd
    from periods
    group by period_type, period_start, developer_id, agent_type, model_name

)

select * from final
