{{
    config(
        materialized='incremental',
        unique_key='date',
    )
}}

with inputs as (

    select
        usage_date as date,
        any_value(input_hash) as input_hash
    from {{ ref('int_agent_daily_aggregates') }}
    group by usage_date

),

touched as (

    {{ touched('date') }}

),

daily as (

    select *
    from {{ ref('int_agent_daily_aggregates') }}
    where usage_date in (select touched.date from touched)

),

final as (

    select
        usage_date as date,
        developer_id,
        agent_type,
        model_name,
        total_sessions,
        active_sessions,
        cast(total_duration_seconds as double) as total_duration_seconds,
        round(cast(total_duration_seconds as double) / 3600, 2) as total_duration_hours,
        avg_duration_seconds,
        total_input_tokens,
        total_output_tokens,
        total_cache_creation_tokens,
        total_cache_read_tokens,
        total_reasoning_tokens,
        total_tokens,
        unpriced_tokens,
        total_cost_usd,
        may_cost_more_usd,
        reported_cost_usd,
        reported_cost_usd - total_cost_usd as cost_variance_usd,
        avg_cost_per_session_usd,
        agent_assisted_commits,
        agent_assisted_lines_added,
        agent_assisted_lines_deleted,
        {{ shared.safe_divide('total_cost_usd', 'agent_assisted_commits') }} as cost_per_commit_usd,
        {{ shared.safe_divide('total_tokens', 'agent_assisted_commits') }} as tokens_per_commit,
        1000 * {{ shared.safe_divide('agent_assisted_lines_added', 'total_tokens') }}
            as lines_per_1k_tokens,
        input_hash
    from daily

)

select * from final
{{ and_replaced('date') }}
