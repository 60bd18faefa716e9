-- Cost of commits, and of sessions that no commit belongs to, is the cost of all sessions.
with shared_out as (

    select sum(cost_usd) as cost_usd
    from {{ ref('fct_git_commits') }}

),

sessions as (

    select
        sum(session_cost_usd) as cost_usd,
        sum(session_cost_usd) filter (
            where session_id not in (
                select commits.agent_session_id
                from {{ ref('fct_git_commits') }} as commits
                where commits.agent_session_id is not null
            )
        ) as without_commits_usd
    from {{ ref('int_sessions_with_costs') }}

)

select
    shared_out.cost_usd as shared_usd,
    sessions.cost_usd,
    sessions.without_commits_usd
from shared_out
cross join sessions
where
    abs(
        coalesce(shared_out.cost_usd, 0)
        + coalesce(sessions.without_commits_usd, 0)
        - coalesce(sessions.cost_usd, 0)
    ) > 0.001 + 0.000000000001 * coalesce(sessions.cost_usd, 0)
