with signals as (

    select * from {{ ref('fct_agent_signals') }}

),

silent as (

    select
        developer_id,
        agent_type,
        signal,
        max(last_seen_at) as last_seen_at
    from signals
    where is_silent
    group by developer_id, agent_type, signal

),

final as (

    select
        row_number() over (
            order by last_seen_at desc, developer_id asc, agent_type asc, signal asc
        ) as place,
        (
            select count(distinct row(senders.developer_id, senders.agent_type))
            from silent as senders
        ) as silent_senders,
        count(*) over () as silent_signals,
        developer_id,
        agent_type,
        signal,
        last_seen_at
    from silent
    qualify place <= 50

)

select * from final
