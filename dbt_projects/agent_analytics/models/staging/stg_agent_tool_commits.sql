{{
    config(
        materialized='incremental',
        unique_key='commit_id',
    )
}}

{%- set after_log_id = newest('last_log_id') %}

with tool_results as (

    select
        id,
        session_id,
        timestamp as reported_at,
        coalesce(
            attributes ->> '$.git_commit_id',
            regexp_extract(
                cast(attributes as varchar), 'git_commit_id[\\": ]+([0-9a-fA-F]{7,64})', 1
            )
        ) as commit_id
    from {{ source('raw', 'otel_logs') }}
    where
        id > {{ after_log_id }}
        and ends_with(event_name, 'tool_result')
        and contains(cast(attributes as varchar), 'git_commit_id')

),

reports as (

    select
        lower(commit_id) as commit_id,
        session_id,
        reported_at,
        id as last_log_id
    from tool_results
    where length(commit_id) >= 7 and {{ known_id('commit_id') }} is not null

    {% if is_incremental() %}
    union all

    select
        commit_id,
        session_id,
        reported_at,
        last_log_id
    from {{ this }}
    where commit_id in (select lower(tool_results.commit_id) from tool_results)
    {% endif %}

),

final as (

    select
        commit_id,
        arg_min(session_id, (reported_at, session_id)) as session_id,
        min(reported_at) as reported_at,
        max(last_log_id) as last_log_id,
        hash(arg_min(session_id, (reported_at, session_id))) as input_hash
    from reports
    group by commit_id

)

select * from final
