with repositories as (

    select * from {{ ref('dim_repository') }}

),

metrics as (

    select * from {{ ref('int_repository_metrics') }}

),

final as (

    select
        repositories.repository_id,
        repositories.url,
        repositories.owner,
        repositories.repo_name,
        repositories.state,
        repositories.paused_at,
        repositories.retired_at,
        repositories.is_shallow,
        case
            when metrics.total_commits > 0
                then rank() over (order by metrics.total_commits desc)
        end as commit_rank,
        metrics.total_commits,
        metrics.merge_commits,
        metrics.bot_commits,
        metrics.agent_commits,
        metrics.agent_coauthored_commits,
        metrics.contributors,
        metrics.human_contributors,
        metrics.bus_factor,
        metrics.gini_coefficient,
        metrics.active_days,
        metrics.first_commit_date,
        metrics.last_commit_date,
        {{ days_since('metrics.last_commit_date') }} as days_since_last_commit,
        metrics.commits_30d,
        metrics.commits_90d,
        metrics.lines_added,
        metrics.lines_deleted,
        metrics.counted_lines_added,
        metrics.counted_lines_deleted,
        metrics.commits_without_file_classes,
        metrics.commits_without_line_counts,
        metrics.commits_with_implausible_date,
        repositories.last_processed_at,
        {{ as_of_date() }} as as_of_date
    from repositories
    inner join metrics on repositories.repository_id = metrics.repository_id

)

select * from final
