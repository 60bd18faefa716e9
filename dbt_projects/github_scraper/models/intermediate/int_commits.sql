{{
    config(
        partition_by=by_commit_day(),
        cluster_by=['repository_id'],
    )
}}

with commits as (

    select * from {{ ref('stg_commits') }}

),

contributors as (

    select * from {{ ref('stg_contributors') }}

),

final as (

    select
        commits.commit_id,
        commits.repository_id,
        commits.contributor_id,
        commits.identity_id,
        commits.commit_hash,
        commits.commit_date,
        commits.commit_day,
        commits.commit_week,
        commits.commit_month,
        commits.commit_type,
        commits.is_breaking,
        commits.is_merge,
        contributors.is_bot,
        contributors.is_agent,
        commits.is_date_plausible,
        row_number() over (
            partition by commits.commit_hash
            order by commits.repository_id
        ) = 1 as is_first_copy,
        case when not commits.is_merge then commits.lines_added end as lines_added,
        case when not commits.is_merge then commits.lines_deleted end as lines_deleted,
        case when not commits.is_merge then commits.counted_lines_added end as counted_lines_added,
        case when not commits.is_merge then commits.counted_lines_deleted end
            as counted_lines_deleted,
        case when not commits.is_merge then commits.files_changed end as files_changed,
        not commits.is_merge and commits.lines_added is null as is_without_line_counts,
        not commits.is_merge and commits.counted_lines_added is null as is_without_file_classes
    from commits
    inner join contributors on commits.contributor_id = contributors.contributor_id
    where commits.is_reachable

)

select * from final
