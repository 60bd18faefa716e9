with usage as (

    select * from {{ ref('fct_daily_agent_usage') }}

),

agents as (

    select * from {{ ref('dim_agents') }}

),

final as (

    select
        usage.date,
        usage.agent_type,
        usage.date < {{ shared.build_day() }} as is_complete_day,
        any_value(coalesce(agents.display_name, usage.agent_type)) as agent,
        cast(sum(usage.total_cost_usd) as decimal(38, 10)) as cost_usd,
        cast(sum(usage.reported_cost_usd) as decimal(38, 10)) as reported_cost_usd,
        cast(sum(usage.total_tokens) as bigint) as total_tokens,
        cast(sum(usage.unpriced_tokens) as bigint) as unpriced_tokens,
        cast(sum(usage.total_input_tokens) as bigint) as input_tokens,
        cast(sum(usage.total_cache_creation_tokens) as bigint) as cache_creation_tokens,
        cast(sum(usage.total_cache_read_tokens) as bigint) as cache_read_tokens
    from usage
    left join agents on usage.agent_type = agents.agent_type
    where usage.date > (select max(newest.date) from usage as newest) - 62
    group by usage.date, usage.agent_type

)

select * from final
