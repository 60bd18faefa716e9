with contributors as (

    select * from {{ ref('dim_contributor') }}

),

metrics as (

    select * from {{ ref('int_contributor_metrics') }}

),

final as (

    select
        contributors.contributor_id,
        contributors.username,
        contributors.display_name,
        contributors.profile_url,
        contributors.kind,
        contributors.is_bot,
        contributors.is_agent,
        case
            when metrics.total_commits > 0
                then rank() over (order by metrics.total_commits desc)
        end as commit_rank,
        metrics.repositories_contributed_to,
        metrics.total_commits,
        metrics.merge_commits,
        metrics.coauthored_commits,
        metrics.commits_in_all_copies,
        metrics.avg_commits_per_repo,
        metrics.active_days,
        metrics.first_commit_date,
        metrics.last_commit_date,
        {{ days_since('metrics.last_commit_date') }} as days_since_last_commit,
        metrics.lines_added,
        metrics.lines_deleted,
        metrics.counted_lines_added,
        metrics.counted_lines_deleted,
        metrics.commits_without_file_classes,
        metrics.commits_without_line_counts,
        metrics.commits_with_implausible_date,
        {{ as_of_date() }} as as_of_date
    from contributors
    inner join metrics on contributors.contributor_id = metrics.contributor_id

)

select * from final
