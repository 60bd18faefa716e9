{{
    config(
        materialized='incremental',
        unique_key=['period_type', 'period_start'],
    )
}}

with days as (

    select
        usage_date,
        hash(usage_date, any_value(input_hash)) as input_hash
    from {{ ref('int_agent_daily_aggregates') }}
    group by usage_date

),

period_days as (

    select
        'day' as period_type,
        usage_date as period_start,
        usage_date,
        input_hash
    from days

    union all

    select
        'week' as period_type,
        cast(date_trunc('week', usage_date) as date) as period_start,
        usage_date,
        input_hash
    from days

    union all

    select
        'month' as period_type,
        cast(date_trunc('month', usage_date) as date) as period_start,
        usage_date,
        input_hash
    from days

),

inputs as (

    select
        period_type,
        period_start,
        {{ hash_of_rows('input_hash') }} as input_hash
    from period_days
    group by period_type, period_start

),

touched as (

    {{ touched(['period_type', 'period_start']) }}

),

touched_days as (

    select
        touched.*,
        period_days.usage_date
    from touched
    inner join period_days
        on
            touched.period_type = period_days.period_type
            and touched.period_start = period_days.period_start

),

periods as (

    select
        touched_days.period_type,
        touched_days.period_start,
        daily.* replace (touched_days.input_hash as input_hash)
    from touched_days
    inner join {{ ref('int_agent_daily_aggregates') }} as daily
        on touched_days.usage_date = daily.usage_date

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
        sum(reported_cost_usd) - sum(total_cost_usd) as cost_variance_usd,
        any_value(input_hash) as input_hash
    from periods
    group by period_type, period_start, developer_id, agent_type, model_name

)

select * from final
{{ and_replaced(['period_type', 'period_start']) }}
