with commits as (

    select * from {{ ref('int_commits') }}

),

final as (

    select
        repository_id,
        commit_month,
        commit_type,
        count(*) as commits,
        count(*) filter (where is_merge) as merge_commits,
        count(*) filter (where is_bot) as bot_commits,
        count(*) filter (where is_breaking) as breaking_commits,
        count(distinct contributor_id) as contributors,
        cast(sum(lines_added) as bigint) as lines_added,
        cast(sum(lines_deleted) as bigint) as lines_deleted,
        count(*) filter (where is_without_line_counts) as commits_without_line_counts,
        count(*) filter (where not is_date_plausible) as commits_with_implausible_date
    from commits
    group by repository_id, commit_month, commit_type

)

select * from final
