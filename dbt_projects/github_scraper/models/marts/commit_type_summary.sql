{{
    config(
        partition_by=by_commit_day('commit_month'),
        partition_expiration_days=var('partition_expiration_days', none),
        cluster_by=['repository_id'],
    )
}}

with commits as (

    select * from {{ ref('int_commits') }}

),

final as (

    select
        repository_id,
        commit_month,
        commit_type,
        count(*) as commits,
        count(case when is_merge then 1 end) as merge_commits,
        count(case when is_bot then 1 end) as bot_commits,
        count(case when is_agent then 1 end) as agent_commits,
        count(case when is_breaking then 1 end) as breaking_commits,
        count(distinct contributor_id) as contributors,
        cast(sum(lines_added) as bigint) as lines_added,
        cast(sum(lines_deleted) as bigint) as lines_deleted,
        count(case when is_without_line_counts then 1 end) as commits_without_line_counts,
        count(case when not is_date_plausible then 1 end) as commits_with_implausible_date
    from commits
    group by repository_id, commit_month, commit_type

)

select * from final
