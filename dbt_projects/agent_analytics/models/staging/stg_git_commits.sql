{{
    config(
        materialized='incremental',
        unique_key='commit_hash',
    )
}}

with inputs as (

    select
        commits.commit_hash,
        hash(commits) as input_hash
    from {{ source('raw', 'git_commits') }} as commits

),

touched as (

    {{ touched('commit_hash') }}

),

source as (

    select
        commits.*,
        touched.input_hash
    from {{ source('raw', 'git_commits') }} as commits
    inner join touched on commits.commit_hash = touched.commit_hash

),

final as (

    select
        commit_hash,
        commit_message,
        author_name,
        lower(trim(author_email)) as author_email,
        commit_timestamp,
        files_changed,
        lines_added,
        lines_deleted,
        agent_assisted,
        agent_session_id,
        agent_type,
        developer_id,
        project_id,
        created_at,
        co_authors,
        case
            when
                regexp_matches(commit_message, '(?im)^co-authored-by:.*@anthropic\.com[>\s]*$')
                or regexp_matches(co_authors, '(?im)@anthropic\.com\s*$')
                then 'claude_code'
            when
                regexp_matches(
                    commit_message,
                    '(?im)^co-authored-by:.*('
                    || '\+copilot@users\.noreply\.github\.com|[<\s]copilot@github\.com'
                    || ')[>\s]*$'
                )
                or regexp_matches(
                    co_authors,
                    '(?im)^(github )?copilot(-swe-agent)?(\[bot\])? '
                    || '@(users\.noreply\.)?github\.com\s*$'
                )
                then 'github_copilot'
            when
                regexp_matches(commit_message, '(?im)^co-authored-by:.*@cursor\.com[>\s]*$')
                or regexp_matches(co_authors, '(?im)@cursor\.com\s*$')
                then 'cursor'
            when
                regexp_matches(
                    commit_message, '(?im)^co-authored-by:.*[<\s]noreply@openai\.com[>\s]*$'
                )
                or regexp_matches(co_authors, '(?im)^codex @openai\.com\s*$')
                then 'codex'
            when
                regexp_matches(commit_message, '(?im)^co-authored-by:.*@opencode\.ai[>\s]*$')
                or regexp_matches(co_authors, '(?im)@opencode\.ai\s*$')
                then 'opencode'
        end as trailer_agent_type,
        input_hash
    from source

)

select * from final
{{ and_replaced('commit_hash') }}
