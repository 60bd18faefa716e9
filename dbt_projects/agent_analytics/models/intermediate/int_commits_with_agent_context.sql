{{
    config(
        materialized='incremental',
        unique_key='commit_date',
    )
}}

with sessions as (

    select * from {{ ref('int_sessions_with_costs') }}

),

named_commits as (

    select
        commits.commit_hash,
        cast(commits.commit_timestamp as date) as commit_date,
        commits.agent_session_id,
        commits.input_hash,
        developers.developer_id as canonical_developer_id
    from {{ ref('stg_git_commits') }} as commits
    inner join {{ ref('int_developer_names') }} as developers
        on
            coalesce(
                nullif(lower(trim(commits.developer_id)), ''),
                nullif(commits.author_email, ''),
                'unknown'
            ) = developers.name

),

-- The agent told which commit it made, often by the beginning of its hash.
told_commits as (

    select
        commits.commit_hash,
        arg_max(tool_commits.session_id, (length(tool_commits.commit_id), tool_commits.session_id))
            as session_id
    from named_commits as commits
    inner join {{ ref('stg_agent_tool_commits') }} as tool_commits
        on
            left(commits.commit_hash, 7) = left(tool_commits.commit_id, 7)
            and starts_with(commits.commit_hash, tool_commits.commit_id)
    group by commits.commit_hash

),

-- A day is made from its commits, the sessions that they or a tool result name, and all sessions
-- that are at work on it.
parts as (

    select
        commits.commit_date,
        hash(
            'commit',
            commits.input_hash,
            commits.canonical_developer_id,
            told_commits.session_id,
            sessions.input_hash
        ) as input_hash
    from named_commits as commits
    left join told_commits on commits.commit_hash = told_commits.commit_hash
    left join sessions
        on coalesce(commits.agent_session_id, told_commits.session_id) = sessions.session_id

    union all

    select
        unnest(
            generate_series(
                cast(session_start as date),
                cast(session_end + to_seconds({{ var('commit_grace_seconds') }}) as date),
                interval 1 day
            )
        ) as commit_date,
        hash('session', session_id, input_hash) as input_hash
    from sessions
    where is_session_known

),

inputs as (

    select
        cast(commit_date as date) as commit_date,
        hash({{ hash_of_rows('input_hash') }}, {{ var('commit_grace_seconds') }}) as input_hash
    from parts
    group by cast(commit_date as date)
    having commit_date in (select named_commits.commit_date from named_commits)

),

touched as (

    {{ touched('commit_date') }}

),

commits as (

    select
        stg_git_commits.* replace (touched.input_hash as input_hash),
        named_commits.commit_date,
        named_commits.canonical_developer_id
    from named_commits
    inner join touched on named_commits.commit_date = touched.commit_date
    inner join {{ ref('stg_git_commits') }} as stg_git_commits
        on named_commits.commit_hash = stg_git_commits.commit_hash

),

-- Stretches of work, not whole sessions: one resumed a day later was not at work in between.
windows as (

    select
        session_id,
        developer_id,
        agent_type,
        unnest(blocks).started_at as started_at,
        unnest(blocks).ended_at as ended_at
    from sessions
    where
        is_session_known
        and session_end >= (
            select min(touched.commit_date) - to_seconds({{ var('commit_grace_seconds') }})
            from touched
        )

),

windows_by_day as (

    select
        windows.*,
        unnest(
            generate_series(
                date_trunc('day', windows.started_at),
                windows.ended_at + to_seconds({{ var('commit_grace_seconds') }}),
                interval 1 day
            )
        ) as window_day
    from windows

),

commits_in_windows as (

    select
        commits.commit_hash,
        windows_by_day.session_id
    from commits
    inner join windows_by_day
        on
            commits.canonical_developer_id = windows_by_day.developer_id
            and windows_by_day.agent_type
            = coalesce(commits.agent_type, commits.trailer_agent_type, windows_by_day.agent_type)
            and date_trunc('day', commits.commit_timestamp) = windows_by_day.window_day
            and commits.commit_timestamp >= windows_by_day.started_at
            and commits.commit_timestamp
            <= windows_by_day.ended_at + to_seconds({{ var('commit_grace_seconds') }})
    qualify row_number() over (
            partition by commits.commit_hash
            order by
                abs(epoch(commits.commit_timestamp - windows_by_day.ended_at)),
                windows_by_day.session_id
        ) = 1

),

attributed as (

    select
        commits.*,
        case
            when commits.agent_session_id is not null then commits.agent_session_id
            when told_commits.session_id is not null then told_commits.session_id
            else commits_in_windows.session_id
        end as attributed_session_id,
        case
            when commits.agent_session_id is not null then 'explicit'
            when told_commits.session_id is not null then 'tool_result'
            when commits.agent_assisted then 'declared'
            when commits.trailer_agent_type is not null then 'trailer'
            when commits_in_windows.session_id is not null then 'session_window'
        end as attribution_method
    from commits
    left join told_commits on commits.commit_hash = told_commits.commit_hash
    left join commits_in_windows on commits.commit_hash = commits_in_windows.commit_hash

),

final as (

    select
        attributed.commit_hash,
        attributed.commit_message,
        attributed.author_name,
        attributed.author_email,
        attributed.commit_timestamp,
        attributed.commit_date,
        attributed.files_changed,
        attributed.lines_added,
        attributed.lines_deleted,
        attributed.project_id,
        attributed.canonical_developer_id as developer_id,
        attributed.attributed_session_id as agent_session_id,
        sessions.session_id is not null as is_session_found,
        attributed.attribution_method,
        case attributed.attribution_method
            when 'explicit' then 1.0
            when 'tool_result' then 1.0
            when 'declared' then 1.0
            when 'trailer' then 0.9
            when 'session_window' then 0.6
        end as attribution_confidence,
        case when attributed.attribution_method is not null then 1 else 0 end as is_agent_assisted,
        case
            when attributed.attribution_method is not null
                then coalesce(
                        sessions.agent_type,
                        attributed.agent_type,
                        attributed.trailer_agent_type,
                        'unknown'
                    )
        end as agent_type,
        case when attributed.attribution_method is not null
                then coalesce(sessions.model_name, 'unknown')
        end as model_name,
        sessions.duration_seconds as agent_session_duration,
        case
            when attributed.attribution_method is not null
                then epoch(attributed.commit_timestamp - sessions.session_end)
        end as seconds_after_session,
        case
            when coalesce(attributed.lines_added, 0) + coalesce(attributed.lines_deleted, 0) > 500
                then 'large'
            when coalesce(attributed.lines_added, 0) + coalesce(attributed.lines_deleted, 0) > 100
                then 'medium'
            else 'small'
        end as commit_size,
        attributed.input_hash
    from attributed
    left join sessions on attributed.attributed_session_id = sessions.session_id

)

select * from final
{{ and_replaced('commit_date') }}
