with used as (

    select distinct agent_type
    from {{ ref('int_agent_daily_aggregates') }}

),

agents as (

    select * from {{ ref('agents') }}

),

final as (

    select
        coalesce(agents.agent_type, used.agent_type) as agent_type,
        coalesce(agents.display_name, used.agent_type) as display_name,
        coalesce(agents.vendor, 'Unknown') as vendor,
        coalesce(agents.interface_type, 'Unknown') as interface_type,
        used.agent_type is not null as is_used
    from agents
    full outer join used on agents.agent_type = used.agent_type

)

select * from final
