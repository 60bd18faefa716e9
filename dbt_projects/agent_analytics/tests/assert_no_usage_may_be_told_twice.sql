{{ config(severity='warn', store_failures=false) }}

-- A developer's usage without a session, and sessions without a developer, of which one tells
-- events only and the other counters only: nothing shows whether the one is the other, and both
-- count.
with usage as (

    select
        sessions.developer_id = 'unknown' as is_without_developer,
        sessions.is_session_known,
        usage.agent_type,
        sum(usage.tokens_by_events) as tokens_by_events,
        sum(usage.tokens_by_metrics) as tokens_by_metrics
    from {{ ref('stg_agent_token_usage') }} as usage
    inner join {{ ref('stg_agent_sessions') }} as sessions on usage.session_id = sessions.session_id
    group by sessions.session_id, is_without_developer, sessions.is_session_known, usage.agent_type
    having sum(usage.tokens_by_events) = 0 or sum(usage.tokens_by_metrics) = 0

)

select
    without_session.agent_type,
    sum(without_session.tokens_by_events + without_session.tokens_by_metrics) as tokens
from usage as without_session
where
    not without_session.is_session_known
    and not without_session.is_without_developer
    and exists (
        select 1
        from usage as sessions
        where
            sessions.is_session_known
            and sessions.is_without_developer
            and sessions.agent_type = without_session.agent_type
            and (sessions.tokens_by_events > 0) <> (without_session.tokens_by_events > 0)
    )
group by without_session.agent_type
