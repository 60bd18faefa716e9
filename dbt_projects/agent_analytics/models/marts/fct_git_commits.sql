{{
    config(
        materialized='incremental',
        unique_key='commit_hash',
    )
}}

with commits_of_sessions as (

    select
        agent_session_id,
        {{ hash_of_rows('hash(commit_hash, input_hash)') }} as input_hash
    from {{ ref('int_commits_with_agent_context') }}
    where is_session_found
    group by agent_session_id

),

-- A commit is made from itself, from its session, and from all commits that share that session.
inputs as (

    select
        commits.commit_hash,
        hash(
            commits.input_hash, sessions.input_hash, commits_of_sessions.input_hash
        ) as input_hash
    from {{ ref('int_commits_with_agent_context') }} as commits
    left join commits_of_sessions
        on commits.agent_session_id = commits_of_sessions.agent_session_id
    left join {{ ref('int_sessions_with_costs') }} as sessions
        on commits.agent_session_id = sessions.session_id

),

touched as (

    {{ touched('commit_hash') }}

),

commits as (

    select
        commits.* replace (touched.input_hash as input_hash),
        coalesce(commits.lines_added, 0) + coalesce(commits.lines_deleted, 0) as lines_changed
    from {{ ref('int_commits_with_agent_context') }} as commits
    inner join touched on commits.commit_hash = touched.commit_hash

),

sessions as (

    select * from {{ ref('int_sessions_with_costs') }}

),

-- A session's cost is shared by lines changed; equally where none of its commits changed a line.
shares as (

    select
        commit_hash,
        agent_session_id,
        case
            when sum(lines_changed) over (partition by agent_session_id) > 0
                then lines_changed / sum(lines_changed) over (partition by agent_session_id)
            else 1.0 / count(*) over (partition by agent_session_id)
        end as session_share
    from commits
    where is_session_found

),

final as (

    select
        commits.commit_hash,
        commits.developer_id,
        commits.author_name,
        commits.author_email,
        commits.commit_message,
        commits.project_id,
        commits.commit_timestamp,
        cast(commits.commit_timestamp as date) as commit_date,
        cast(extract('hour' from commits.commit_timestamp) as integer) as commit_hour,
        cast(extract('dow' from commits.commit_timestamp) as integer) as commit_day_of_week,
        commits.files_changed,
        commits.lines_added,
        commits.lines_deleted,
        commits.lines_changed,
        commits.commit_size,
        commits.is_agent_assisted,
        commits.attribution_method,
        cast(commits.attribution_confidence as double) as attribution_confidence,
        commits.agent_session_id,
        commits.agent_type,
        commits.model_name,
        shares.session_share,
        sessions.total_tokens * shares.session_share as tokens_used,
        sessions.session_cost_usd * shares.session_share as cost_usd,
        sessions.reported_cost_usd * shares.session_share as reported_cost_usd,
        cast(commits.agent_session_duration as double) as agent_duration_seconds,
        commits.seconds_after_session,
        case
            when commits.is_agent_assisted = 1
                then 1000 * {{ shared.safe_divide(
                    'commits.lines_added', '(sessions.total_tokens * shares.session_share)'
                ) }}
        end as lines_per_1k_tokens,
        case
            when commits.is_agent_assisted = 1
                then {{ shared.safe_divide(
                    'commits.lines_added', '(sessions.session_cost_usd * shares.session_share)'
                ) }}
        end as lines_per_dollar,
        commits.input_hash
    from commits
    left join shares on commits.commit_hash = shares.commit_hash
    left join sessions on shares.agent_session_id = sessions.session_id

)

select * from final
{{ and_replaced('commit_hash') }}
