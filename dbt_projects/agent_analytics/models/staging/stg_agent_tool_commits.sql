with tool_results as (

    select
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
        ends_with(event_name, 'tool_result')
        and contains(cast(attributes as varchar), 'git_commit_id')

),

final as (

    select
        lower(commit_id) as commit_id,
        arg_min(session_id, (reported_at, session_id)) as session_id
    from tool_results
    where length(commit_id) >= 7
    group by lower(commit_id)

)

select * from final
